/** Logs from the phone or laptop: sent with progress, each with what it says by itself, in the table or not. */

import { ask, get } from "../api.js";
import { button, el, section, setText, whenParked } from "../dom.js";
import { fixed } from "../format.js";
import { holdButton } from "../hold.js";
import { isOffered } from "../offers.js";
import { goesOn, isDone, ownRuns, resultWords } from "../runs.js";
import { upload } from "../upload.js";

const REFRESH_MS = 5000;
const SOON_MS = 700;

/** @typedef {{format: string, columns: Record<string, string>, inferred: string[], warnings: string[],
 *   sample_rate_hz: number | null, sha256?: string}} Recognised */
/** @typedef {{id: string, name: string, bytes: number, recognised: Recognised}} Log */
/** @typedef {import("../runs.js").Run} Run */
/** @typedef {{id: number, included: boolean, counts_not_because: string | null, log: {sha256: string} | null}} Session */

export function build() {
  const outcome = el("p.outcome", { role: "status" });
  const input = /** @type {HTMLInputElement} */ (el("input.unseen", { type: "file", multiple: "", id: "upload-file" }));
  const bar = /** @type {HTMLProgressElement} */ (el("progress", { max: "1", "aria-label": "Upload" }));
  bar.hidden = true;
  const list = el("ul.drives");
  const root = section(
    "uploads",
    "Logs",
    el("p.words", {}, "A log of any logger: see what it says by itself, then add it to the table or not."),
    whenParked(el("div.actions", {}, el("label.button", { for: "upload-file" }, input, "Choose logs to send"))),
    bar,
    outcome,
    list,
  );
  root.hidden = true;
  const view = {
    root, outcome, bar, list,
    rows: /** @type {Map<string, Row>} */ (new Map()),
    askAt: 0,
    offered: false,
  };
  input.addEventListener("change", () => send(view, input));
  return view;
}

/** @typedef {ReturnType<typeof build>} View */
/** @typedef {ReturnType<typeof buildRow>} Row */

/** @param {View} view */
export function render(view) {
  const now = performance.now();
  if (now >= view.askAt) {
    view.askAt = now + REFRESH_MS;
    void refresh(view);
  }
}

/**
 * One file after the other: a hotspot is slow enough for one.
 * @param {View} view
 * @param {HTMLInputElement} input
 */
async function send(view, input) {
  const files = [...(input.files ?? [])];
  input.value = "";
  const said = [];
  view.bar.hidden = false;
  for (const file of files) {
    view.bar.value = 0;
    setText(view.outcome, `Sending ${file.name} …`);
    const answer = await upload(file, (share) => {
      view.bar.value = share;
    });
    said.push(answer.ok ? `${answer.body.name} is here.` : `${file.name}: ${answer.message}`);
    if (answer.ok) {
      const asked = await look(answer.body.id);
      said.push(...(asked.ok ? [] : [asked.message]));
    }
  }
  view.bar.hidden = true;
  setText(view.outcome, said.join(" "));
  view.askAt = 0;
}

/**
 * Asks for the table of a log by itself, with the limits in use.
 * @param {string} log
 */
function look(log) {
  return ask("POST", "/api/v1/analyses", { json: { logs: [log], runs: [{ filters: {} }] } });
}

/** @param {View} view */
async function refresh(view) {
  view.offered ||= await isOffered("logs");
  view.root.hidden = !view.offered;
  if (!view.offered) {
    return;
  }
  const [logs, sessions, analyses] = await Promise.all([
    get("/api/v1/logs"),
    get("/api/v1/sessions"),
    get("/api/v1/analyses?limit=100"),
  ]);
  if (!logs.ok) {
    setText(view.outcome, logs.message);
    return;
  }
  const own = ownRuns(analyses.ok ? analyses.body.analyses : []);
  /** @type {Map<string, Session>} */
  const kept = new Map();
  for (const session of sessions.ok ? sessions.body.sessions : []) {
    if (session.log !== null && session.log !== undefined) {
      kept.set(session.log.sha256, session);
    }
  }
  showRows(view, logs.body.logs, own, kept);
  if ([...own.values()].some(goesOn)) {
    view.askAt = performance.now() + SOON_MS;
  }
}

/**
 * @param {View} view
 * @param {Log[]} logs the oldest first
 * @param {Map<string, Run>} own
 * @param {Map<string, Session>} kept by the digest of the log
 */
function showRows(view, logs, own, kept) {
  const there = new Set(logs.map((log) => log.id));
  for (const [id, row] of view.rows) {
    if (!there.has(id)) {
      row.root.remove();
      view.rows.delete(id);
    }
  }
  for (const log of logs) {
    let row = view.rows.get(log.id);
    if (row === undefined) {
      row = buildRow(log, view);
      view.rows.set(log.id, row);
      view.list.prepend(row.root);
    }
    fill(row, own.get(log.id) ?? null, kept.get(log.recognised.sha256 ?? "") ?? null);
  }
}

/**
 * @param {Log} log
 * @param {View} view
 */
function buildRow(log, view) {
  const { sample_rate_hz: rate, format } = log.recognised;
  const facts = [`${fixed(log.bytes / 1e6, 1)}\u00a0MB`, format, rate === null ? "" : `${fixed(rate, rate < 10 ? 1 : 0)} samples/s`];
  const bar = /** @type {HTMLProgressElement} */ (el("progress", { max: "1", "aria-label": `Progress of ${log.name}` }));
  const result = el("p.result");
  const state = el("p.state-words");
  const outcome = el("p.outcome", { role: "status" });
  const add = button("Add to the table", () => void addLog());
  add.classList.add("primary");
  const out = button("Take out again", () => void takeOut());
  const again = button("See what it says", () => void tell(look(log.id), "It is being looked at."));
  const remove = holdButton(
    "Hold to delete",
    () => void tell(ask("DELETE", `/api/v1/logs/${log.id}`), `${log.name} is deleted.`),
    () => setText(outcome, "Hold it for a second."),
  );
  const root = el(
    "li",
    {},
    el("b", {}, log.name),
    el("p.soft", {}, facts.filter(Boolean).join(" · ")),
    bar,
    result,
    state,
    el("div.actions.parked", {}, add, out, again),
    outcome,
    el(
      "details",
      {},
      el("summary", {}, "What was recognised, delete"),
      el("ul.recognised", {}, ...recognisedWords(log.recognised).map((words) => el("li", {}, words))),
      el("div.actions.parked", {}, remove.button),
    ),
  );
  const row = { root, bar, result, state, add, out, again, session: /** @type {Session | null} */ (null), told: "" };
  return row;

  async function addLog() {
    add.disabled = true;
    setText(outcome, "Its samples are being judged …");
    await tell(ask("POST", `/api/v1/logs/${log.id}/session`), "");
    add.disabled = false;
  }

  async function takeOut() {
    const number = row.session?.id;
    await tell(ask("PATCH", `/api/v1/sessions/${number}`, { json: { included: false } }), "Out of the table again, without a trace.");
  }

  /**
   * @param {ReturnType<typeof ask>} asked
   * @param {string} done what to say when it worked
   */
  async function tell(asked, done) {
    const answer = await asked;
    setText(outcome, answer.ok ? done : answer.message);
    await refresh(view);
  }
}

/**
 * @param {Row} row
 * @param {Run | null} run its table by itself
 * @param {Session | null} session what it is in the table
 */
function fill(row, run, session) {
  row.session = session;
  const working = run !== null && goesOn(run);
  row.bar.hidden = !working;
  row.bar.value = run?.progress ?? 0;
  row.again.hidden = run !== null;
  if (run === null || working) {
    setText(row.result, working ? "By itself: being worked out …" : "");
  } else if (isDone(run)) {
    void showResult(row, run);
  } else {
    setText(row.result, `✕ ${run.error ?? run.status}`);
  }
  const inTable = session !== null && session.included;
  const because = inTable ? session.counts_not_because : null;
  row.state.dataset.counted = String(inTable && because === null);
  setText(row.state, inTable ? (because === null ? `✓ In the table, as drive ${session.id}` : `Drive ${session.id} does not count: ${because}`) : "Not in the table");
  row.add.hidden = inTable;
  row.out.hidden = !inTable;
}

/**
 * @param {Row} row
 * @param {Run} run
 */
async function showResult(row, run) {
  if (row.told === run.id) {
    return;
  }
  row.told = run.id;
  const answer = await get(`/api/v1/analyses/${run.id}`);
  setText(row.result, answer.ok ? `By itself: ${resultWords(answer.body)}` : answer.message);
  if (!answer.ok) {
    row.told = ""; // asked again
  }
}

/**
 * What was recognised in a log, in words.
 * @param {Recognised} recognised
 */
function recognisedWords({ columns, inferred, warnings }) {
  return [
    ...Object.entries(columns).map(([role, header]) => `${role}: “${header}”`),
    inferred.length > 0 ? `inferred: ${inferred.join(", ")}` : "",
    ...warnings,
  ].filter(Boolean);
}
