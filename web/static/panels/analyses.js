/** Tables made of uploaded logs: how far they are, what came of them. */

import { ask, get } from "../api.js";
import { button, el, section, setText, whenParked } from "../dom.js";
import { count, fixed, share, signed } from "../format.js";
import { isOffered } from "../offers.js";

const REFRESH_MS = 2000;
const SHOWN = 20;
const GOES_ON = ["unstarted", "processing"];

/** @typedef {{id: string, status: string, progress: number, error: string | null, estimator: string,
 *   logs: {id: string, name: string | null}[], filters: Record<string, any> | null}} Run */

export function build() {
  const outcome = el("p.outcome", { role: "status" });
  const list = el("ul.drives");
  const root = section("analyses", "Their tables", outcome, list);
  root.hidden = true;
  /** @type {Map<string, ReturnType<typeof buildRow>>} */
  const rows = new Map();
  return { root, outcome, list, rows, askedAt: -REFRESH_MS, offered: false };
}

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
  view.offered ||= await isOffered("analyses");
  if (!view.offered) {
    return;
  }
  const answer = await get(`/api/v1/analyses?limit=${SHOWN}`);
  if (!answer.ok) {
    setText(view.outcome, answer.message);
    return;
  }
  /** @type {Run[]} */
  const runs = answer.body.analyses;
  view.root.hidden = runs.length === 0;
  const there = new Set(runs.map((run) => run.id));
  for (const [id, row] of view.rows) {
    if (!there.has(id)) {
      row.root.remove();
      view.rows.delete(id);
    }
  }
  for (const run of runs.slice().reverse()) {
    let row = view.rows.get(run.id);
    if (row === undefined) {
      row = buildRow(run, view.outcome);
      view.rows.set(run.id, row);
      view.list.prepend(row.root);
    }
    fill(row, run);
  }
}

/**
 * @param {Run} run
 * @param {HTMLElement} outcome
 */
function buildRow(run, outcome) {
  const bar = /** @type {HTMLProgressElement} */ (el("progress", { max: "1", "aria-label": "Progress" }));
  const words = el("p.soft");
  const result = el("p");
  const cancel = button("Cancel", async () => {
    const answer = await ask("DELETE", `/api/v1/analyses/${run.id}`);
    setText(outcome, answer.ok ? "Cancelled." : answer.message);
  });
  const title = run.logs.map((log) => log.name ?? "a deleted log").join(", ");
  const file = el("a.button", { href: `/api/v1/analyses/${run.id}`, download: "lowmaf-analysis.json" }, "JSON");
  const root = el("li", {}, el("b", {}, title), words, bar, result, whenParked(el("div.actions", {}, cancel)), el("div.actions", {}, file));
  return { root, bar, words, result, cancel, file, asked: false };
}

/**
 * @param {ReturnType<typeof buildRow>} row
 * @param {Run} run
 */
function fill(row, run) {
  const goesOn = GOES_ON.includes(run.status);
  row.bar.hidden = !goesOn;
  row.bar.value = run.progress;
  row.cancel.hidden = !goesOn;
  row.file.hidden = !run.status.startsWith("completed");
  setText(row.words, [run.status.replaceAll("_", " "), run.estimator, goesOn ? `${fixed(100 * run.progress, 0)}\u00a0%` : "", run.error ?? ""].filter(Boolean).join(" · "));
  if (!row.file.hidden && !row.asked) {
    row.asked = true;
    void fetchResult(row, run);
  }
}

/**
 * @param {ReturnType<typeof buildRow>} row
 * @param {Run} run
 */
async function fetchResult(row, run) {
  const answer = await get(`/api/v1/analyses/${run.id}`);
  row.asked = answer.ok;
  setText(row.result, answer.ok ? resultWords(answer.body) : answer.message);
}

/** @param {{table: import("../board.js").Table | null, notes: string[]}} run */
function resultWords({ table, notes }) {
  if (table === null) {
    return notes.join(" ");
  }
  const { accepted, seen } = table.samples;
  const measured = table.cells.filter((cell) => cell.state === "measured" && cell.correction_pct !== null);
  const values = measured.map((cell) => /** @type {number} */ (cell.correction_pct));
  const spread = values.length === 0 ? "" : `: ${signed(Math.min(...values), 1)} to ${signed(Math.max(...values), 1)}\u00a0%`;
  const warnings = table.warnings.filter((warning) => warning.blocks_flash).map((warning) => `▲ ${warning.message}`);
  return [
    `${share(accepted, seen)} of ${count(seen)} samples counted, ${measured.length} of ${table.cells.length} cells measured${spread}.`,
    ...warnings,
    ...notes.map(String),
  ].join(" ");
}
