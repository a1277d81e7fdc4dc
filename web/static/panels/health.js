/** How the daemon and its machine are: health in words, storage, temperature, versions, diagnosis. */

import { get } from "../api.js";
import { el, section, setText } from "../dom.js";
import { count, duration, fixed, UNKNOWN } from "../format.js";
import { isOffered } from "../offers.js";
import { temperature } from "../units.js";

const REFRESH_MS = 10_000;
const DIAGNOSIS = "/api/v1/diagnosis";

const SHOWN_MESSAGES = 20;

/** Samples take about this much of the disk, bytes per hour of driving. */
const BYTES_PER_H = 4e6;

export function build() {
  const verdict = el("p.figure", { role: "status" });
  const facts = el("dl.facts");
  const troubles = el("ul.warnings");
  const diagnosis = el("a.button", { href: DIAGNOSIS, download: "lowmaf-diagnosis.json" }, "Download a diagnosis file");
  diagnosis.hidden = true;
  const messages = el("ul.history");
  const told = el("details", {}, el("summary", {}, "Last errors and warnings"), messages);
  told.hidden = true;
  told.addEventListener("toggle", () => void fetchMessages(messages));
  const root = section("health", "Health", verdict, troubles, facts, told, el("div.actions", {}, diagnosis));
  return { root, verdict, facts, troubles, diagnosis, told, machine: /** @type {any} */ (null), askedAt: -REFRESH_MS, shown: "", said: "" };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const { status } = board;
  if (status === null) {
    return;
  }
  const now = performance.now();
  if (now - view.askedAt >= REFRESH_MS) {
    view.askedAt = now;
    void fetchMachine(view);
    void isOffered("diagnosis").then((offered) => {
      view.diagnosis.hidden = !offered;
      view.told.hidden = !offered;
    });
  }
  const well = status.healthy && !board.stale;
  setText(view.verdict, well ? "✓ Everything moves" : `▲ ${board.stale ? "No data from the daemon" : (status.unhealthy_because ?? "Trouble")}`);
  view.verdict.dataset.tone = well ? "good" : "bad";
  const troubles = [...(status.storage.notices ?? []).map((notice) => notice.message), ...(view.machine?.held_back ?? [])];
  const said = troubles.join("\n");
  if (said !== view.said) {
    view.said = said;
    view.troubles.replaceChildren(
      ...troubles.map((words) => el("li", {}, el("span.glyph", { "aria-hidden": "true" }, "△"), el("span", {}, words))),
    );
  }
  const facts = factsOf(status, view.machine);
  const shown = JSON.stringify(facts);
  if (shown !== view.shown) {
    view.shown = shown;
    view.facts.replaceChildren(...facts.map(([name, words]) => el("div", {}, el("dt", {}, name), el("dd", {}, words))));
  }
}

/**
 * @param {import("../board.js").Status} status
 * @param {any} machine
 * @returns {[string, string][]}
 */
function factsOf(status, machine) {
  const { storage } = status;
  const free = machine?.free_bytes;
  return [
    ["Version", `lowmaf ${status.version}${machine ? `, Python ${machine.python}` : ""}`],
    ["Running for", duration(60 * Math.floor(status.uptime_s / 60))],
    ["Machine", machine?.system ?? UNKNOWN],
    ["Temperature", temperature(machine?.temperature_c)],
    ["Held back", machine?.held_back == null ? "this machine does not tell" : machine.held_back.length === 0 ? "no" : "yes, see above"],
    ["Database", storage.database_bytes == null ? UNKNOWN : `${fixed(storage.database_bytes / 1e6, 1)}\u00a0MB`],
    ["Room left", free == null ? UNKNOWN : `${fixed(free / 1e9, 1)}\u00a0GB, about ${count(Math.floor(free / BYTES_PER_H))}\u00a0h of driving`],
    ["Samples lost", count(storage.samples_dropped ?? 0)],
  ];
}

/**
 * What the daemon has complained of lately, the newest first.
 * @param {HTMLElement} list
 */
async function fetchMessages(list) {
  const answer = await get(DIAGNOSIS);
  /** @type {{at: string, message: string}[]} */
  const messages = answer.ok ? answer.body.messages.slice(-SHOWN_MESSAGES).reverse() : [{ at: "", message: answer.message }];
  const said = messages.length > 0 ? messages : [{ at: "", message: "None since it was started." }];
  list.replaceChildren(...said.map(({ at, message }) => el("li", {}, el("b", {}, clock(at)), el("span", {}, message))));
}

/** @param {string} at */
function clock(at) {
  return at === "" ? "" : new Date(at).toLocaleTimeString([], { timeStyle: "short" });
}

/** @param {ReturnType<typeof build>} view */
async function fetchMachine(view) {
  const answer = await get("/api/v1/settings");
  if (answer.ok) {
    view.machine = answer.body.machine;
  }
}
