/** What the data and the store say: what forbids a flash in full view, the rest folded into notes. */

import { el, section, setText } from "../dom.js";
import { inUnits } from "../units.js";

/** @typedef {import("../board.js").DataWarning | import("../board.js").StoreNotice} Warning */

export function build() {
  const urgent = el("ul.warnings");
  const summary = el("summary");
  const quiet = el("ul.warnings");
  const notes = el("details.notes", {}, summary, quiet);
  const root = section("warnings", "Warnings", urgent, notes);
  return { root, title: /** @type {HTMLElement} */ (root.firstElementChild), urgent, summary, quiet, notes, shown: "" };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const warnings = board.table?.warnings ?? [];
  const blocking = warnings.filter((warning) => warning.blocks_flash);
  const urgent = [...blocking, ...(board.status?.storage.notices ?? [])];
  const quiet = warnings.filter((warning) => !warning.blocks_flash);
  view.root.hidden = urgent.length + quiet.length === 0;
  const wanted = JSON.stringify([urgent, quiet]);
  if (wanted === view.shown) {
    return;
  }
  view.shown = wanted;
  setText(view.title, urgent.length > 0 ? "Warnings" : "About the data");
  view.urgent.hidden = urgent.length === 0;
  view.urgent.replaceChildren(...urgent.map(item));
  view.notes.hidden = quiet.length === 0;
  setText(view.summary, quiet.length === 1 ? "1 note" : `${quiet.length} notes`);
  view.quiet.replaceChildren(...quiet.map(item));
}

/** @param {Warning} warning */
function item(warning) {
  return el(
    warning.blocks_flash ? "li.blocks" : "li",
    {},
    el("span.glyph", { "aria-hidden": "true" }, warning.blocks_flash ? "▲" : "△"),
    el("span", {}, inUnits(warning.message), warning.blocks_flash ? el("strong", {}, " Do not flash yet.") : null),
  );
}
