/** The drives that are kept: which count in the table, what they are called, and their samples to take along. */

import { ask, get } from "../api.js";
import { button, el, section, setText, whyNotNow } from "../dom.js";
import { count, duration, share } from "../format.js";
import { holdButton } from "../hold.js";

const REFRESH_MS = 5000;
const STATES = { driving: "goes on now", ended: "", cut_off: "was cut off" };

/** @typedef {{id: number, name: string | null, driver: string, started: string | null, clock: string,
 *   duration_s: number | null, state: keyof typeof STATES, samples: number, accepted: number,
 *   included: boolean, counts: boolean, counts_not_because: string | null}} Drive */

export function build() {
  const words = el("p.words");
  const outcome = el("p.outcome", { role: "status" });
  const list = el("ul.drives");
  const root = section("drives", "Drives that are kept", words, whyNotNow(), outcome, list);
  return { root, words, outcome, list, askedAt: -REFRESH_MS, shown: "", rows: /** @type {Map<number, Row>} */ (new Map()) };
}

/** @typedef {ReturnType<typeof buildRow>} Row */

/** @param {ReturnType<typeof build>} view */
export function render(view) {
  const now = performance.now();
  if (now - view.askedAt >= REFRESH_MS) {
    view.askedAt = now;
    void refresh(view);
  }
}

/** @param {ReturnType<typeof build>} view */
async function refresh(view) {
  const answer = await get("/api/v1/sessions");
  if (!answer.ok) {
    setText(view.words, answer.message);
    return;
  }
  /** @type {Drive[]} */
  const drives = answer.body.sessions;
  const counting = drives.filter((drive) => drive.counts).length;
  setText(view.words, drives.length === 0 ? "None yet: a drive begins when the engine runs." : `${counting} of ${drives.length} count in the table.`);
  for (const drive of drives) {
    let row = view.rows.get(drive.id);
    if (row === undefined) {
      row = buildRow(drive.id, view);
      view.rows.set(drive.id, row);
      view.list.prepend(row.root);
    }
    fill(row, drive);
  }
  const known = new Set(drives.map((drive) => drive.id));
  for (const [id, row] of view.rows) {
    if (!known.has(id)) {
      row.root.remove();
      view.rows.delete(id);
    }
  }
}

/**
 * @param {number} id
 * @param {{outcome: HTMLElement, askedAt: number}} view
 */
function buildRow(id, view) {
  const title = el("b");
  const facts = el("p.soft");
  const why = el("p.soft");
  const counts = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox" }));
  counts.addEventListener("change", () => change({ included: counts.checked }));
  const name = /** @type {HTMLInputElement} */ (el("input", { type: "text", maxlength: "80", placeholder: "to work", "aria-label": `Name of drive ${id}` }));
  const rename = button("Save name", () => change({ name: name.value }));
  const remove = holdButton("Hold to delete", () => forget(), () => setText(view.outcome, "Hold it for a second."));
  const root = el(
    "li",
    {},
    title,
    facts,
    why,
    el("div.parked", {}, el("label.follow", {}, counts, " Counts in the table")),
    el(
      "details",
      {},
      el("summary", {}, "Name, samples, delete"),
      el("div.actions.parked", {}, name, rename),
      el(
        "div.actions",
        {},
        el("a.button", { href: `/api/v1/sessions/${id}/export?format=csv`, download: `lowmaf-session-${id}.csv` }, "Samples as CSV"),
        el("a.button", { href: `/api/v1/sessions/${id}/export?format=json`, download: `lowmaf-session-${id}.json` }, "as JSON"),
      ),
      el("div.actions.parked", {}, remove.button),
    ),
  );
  return { root, title, facts, why, counts, name };

  /** @param {object} wanted */
  async function change(wanted) {
    const answer = await ask("PATCH", `/api/v1/sessions/${id}`, { json: wanted });
    setText(view.outcome, answer.ok ? "Done." : answer.message);
    view.askedAt = -REFRESH_MS;
  }

  async function forget() {
    const answer = await ask("DELETE", `/api/v1/sessions/${id}`);
    setText(view.outcome, answer.ok ? `Drive ${id} is deleted.` : answer.message);
    view.askedAt = -REFRESH_MS;
  }
}

/**
 * @param {Row} row
 * @param {Drive} drive
 */
function fill(row, drive) {
  const started = drive.started === null ? "" : new Date(drive.started).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const doubtful = drive.clock === "unsynced" ? "about " : ""; // the machine's clock was not set by anybody
  setText(row.title, drive.name ?? `Drive ${drive.id}`);
  setText(
    row.facts,
    [
      drive.name === null ? "" : `drive ${drive.id}`,
      started && `${doubtful}${started}`,
      drive.duration_s === null ? "" : duration(drive.duration_s),
      drive.samples || drive.included
        ? `${share(drive.accepted, drive.samples)} of ${count(drive.samples)} samples counted`
        : "samples are judged once it is in the table",
      drive.driver,
      STATES[drive.state],
    ]
      .filter(Boolean)
      .join(" · "),
  );
  row.why.hidden = drive.counts_not_because === null || !drive.included;
  setText(row.why, `Does not count: ${drive.counts_not_because}.`);
  row.counts.checked = drive.included;
  row.counts.disabled = drive.state === "driving";
  if (document.activeElement !== row.name) {
    row.name.value = drive.name ?? "";
  }
}
