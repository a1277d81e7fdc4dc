/** Logs from the phone or laptop: sent with progress, recognised, and looked at by themselves. */

import { ask, get } from "../api.js";
import { button, el, section, setText, whenParked } from "../dom.js";
import { fixed } from "../format.js";
import { holdButton } from "../hold.js";
import { isOffered } from "../offers.js";
import { upload } from "../upload.js";

const REFRESH_MS = 5000;

/** @typedef {{id: string, name: string, bytes: number, recognised: Parameters<typeof recognisedWords>[0]}} Log */

export function build() {
  const words = el("p.words");
  const outcome = el("p.outcome", { role: "status" });
  const input = /** @type {HTMLInputElement} */ (el("input.unseen", { type: "file", multiple: "", id: "upload-file" }));
  const bar = /** @type {HTMLProgressElement} */ (el("progress", { max: "1", "aria-label": "Upload" }));
  bar.hidden = true;
  const list = el("ul.drives");
  const root = section(
    "uploads",
    "Logs",
    words,
    whenParked(el("div.actions", {}, el("label.button", { for: "upload-file" }, input, "Choose logs to send"))),
    bar,
    outcome,
    list,
  );
  root.hidden = true;
  const view = { root, words, outcome, bar, list, askedAt: -REFRESH_MS, offered: false, shown: "" };
  input.addEventListener("change", () => send(view, input));
  return view;
}

/** @param {ReturnType<typeof build>} view */
export function render(view) {
  const now = performance.now();
  if (now - view.askedAt >= REFRESH_MS) {
    view.askedAt = now;
    void refresh(view);
  }
}

/**
 * One file after the other: a hotspot is slow enough for one.
 * @param {ReturnType<typeof build>} view
 * @param {HTMLInputElement} input
 */
async function send(view, input) {
  const files = [...(input.files ?? [])];
  input.value = "";
  const said = [];
  view.bar.hidden = false;
  for (const file of files) {
    setText(view.outcome, `Sending ${file.name} …`);
    const answer = await upload(file, (share) => {
      view.bar.value = share;
    });
    said.push(answer.ok ? `${answer.body.name} is here.` : `${file.name}: ${answer.message}`);
  }
  view.bar.hidden = true;
  setText(view.outcome, said.join(" "));
  view.askedAt = -REFRESH_MS;
}

/** @param {ReturnType<typeof build>} view */
async function refresh(view) {
  view.offered ||= await isOffered("logs");
  view.root.hidden = !view.offered;
  if (!view.offered) {
    return;
  }
  const answer = await get("/api/v1/logs");
  if (!answer.ok) {
    setText(view.words, answer.message);
    return;
  }
  /** @type {{logs: Log[]}} */
  const { logs } = answer.body;
  setText(view.words, logs.length === 0 ? "A log of any logger: lowmaf says what it makes of it." : "Each by itself; the table of the car does not change.");
  const shown = JSON.stringify(logs);
  if (shown !== view.shown) {
    view.shown = shown;
    view.list.replaceChildren(...logs.slice().reverse().map((log) => row(view, log)));
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {Log} log
 */
function row(view, log) {
  const look = button("Make its table", async () => {
    const answer = await ask("POST", "/api/v1/analyses", { json: { logs: [log.id], runs: [{}] } });
    setText(view.outcome, answer.ok ? `${log.name} is being looked at: see below.` : answer.message);
  });
  const remove = holdButton(
    "Hold to delete",
    async () => {
      const answer = await ask("DELETE", `/api/v1/logs/${log.id}`);
      setText(view.outcome, answer.ok ? `${log.name} is deleted.` : answer.message);
      view.askedAt = -REFRESH_MS;
    },
    () => setText(view.outcome, "Hold it for a second."),
  );
  return el(
    "li",
    {},
    el("b", {}, log.name),
    el("p.soft", {}, [`${fixed(log.bytes / 1e6, 1)}\u00a0MB`, ...recognisedWords(log.recognised)].join(" · ")),
    whenParked(el("div.actions", {}, look, remove.button)),
  );
}

/**
 * What was recognised in a log, in words.
 * @param {{format: string, columns: Record<string, string>, inferred: string[], warnings: string[],
 *   sample_rate_hz: number | null}} recognised
 */
function recognisedWords({ format, columns, inferred, warnings, sample_rate_hz: rate }) {
  return [
    `format ${format}`,
    rate === null ? "" : `${fixed(rate, rate < 10 ? 1 : 0)} samples/s`,
    `found: ${Object.entries(columns).map(([role, header]) => `${role} in “${header}”`).join(", ")}`,
    inferred.length > 0 ? `inferred: ${inferred.join(", ")}` : "",
    ...warnings,
  ].filter(Boolean);
}
