/** Analyses of several logs at once, and others that were asked for over HTTP: how far they are, what came of them. */

import { ask, get } from "../api.js";
import { button, el, section, setText } from "../dom.js";
import { fixed } from "../format.js";
import { isOffered } from "../offers.js";
import { goesOn, isDone, ownRuns, resultWords } from "../runs.js";

const REFRESH_MS = 2000;
const SHOWN = 20;

/** @typedef {import("../runs.js").Run} Run */

export function build() {
  const outcome = el("p.outcome", { role: "status" });
  const list = el("ul.drives");
  const root = section("analyses", "Other analyses", outcome, list);
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
  const all = answer.body.analyses;
  const own = new Set(ownRuns(all).values()); // each stands with its log
  const runs = all.filter((run) => !own.has(run));
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
  const root = el("li", {}, el("b", {}, title), words, bar, result, el("div.actions.parked", {}, cancel), el("div.actions", {}, file));
  return { root, bar, words, result, cancel, file, asked: false };
}

/**
 * @param {ReturnType<typeof buildRow>} row
 * @param {Run} run
 */
function fill(row, run) {
  const working = goesOn(run);
  row.bar.hidden = !working;
  row.bar.value = run.progress;
  row.cancel.hidden = !working;
  row.file.hidden = !isDone(run);
  setText(row.words, [run.status.replaceAll("_", " "), run.estimator, working ? `${fixed(100 * run.progress, 0)}\u00a0%` : "", run.error ?? ""].filter(Boolean).join(" · "));
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
