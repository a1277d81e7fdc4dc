/** Why samples count or not: every verdict with its number, in words. */

import { el, section, setText } from "../dom.js";
import { count, share } from "../format.js";

export function build() {
  const words = el("p.words");
  const list = el("ul.verdicts");
  const root = section("verdicts", "Why samples count or not", words, list);
  /** @type {Map<string, ReturnType<typeof buildRow>>} */
  const rows = new Map();
  return { root, words, list, rows };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const verdicts = board.status?.verdicts ?? [];
  const total = verdicts.reduce((sum, verdict) => sum + verdict.count, 0);
  const accepted = verdicts.find((verdict) => verdict.verdict === "accepted")?.count ?? 0;
  const pending = board.table?.samples.pending ?? 0;
  setText(
    view.words,
    total > 0
      ? `${share(accepted, total)}: ${count(accepted)} of ${count(total)} samples counted, ${count(pending)} not judged yet`
      : "No sample has been judged yet",
  );
  const named = new Set(verdicts.map((verdict) => verdict.verdict));
  for (const [name, row] of view.rows) {
    if (!named.has(name)) {
      row.root.remove();
      view.rows.delete(name);
    }
  }
  verdicts.forEach((verdict, at) => {
    let row = view.rows.get(verdict.verdict);
    if (row === undefined) {
      row = buildRow(verdict);
      view.rows.set(verdict.verdict, row);
    }
    if (view.list.children[at] !== row.root) {
      view.list.insertBefore(row.root, view.list.children[at] ?? null);
    }
    setText(row.number, count(verdict.count));
    setText(row.share, share(verdict.count, total));
    row.fill.style.width = `${(100 * verdict.count) / total}%`;
  });
}

/** @param {{verdict: string, words: string}} verdict */
function buildRow(verdict) {
  const number = el("b");
  const part = el("span.share");
  const fill = el("i");
  const root = el(
    "li",
    { "data-verdict": verdict.verdict },
    el("span.words", {}, verdict.words),
    el("span.number", {}, number, part),
    el("span.bar-track", { "aria-hidden": "true" }, fill),
  );
  return { root, number, share: part, fill };
}
