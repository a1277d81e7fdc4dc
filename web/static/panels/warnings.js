/** What the data and the store say that the tuner must know before he trusts the table. */

import { el, section } from "../dom.js";

function build() {
  const list = el("ul.warnings");
  return { root: section("glance", "warnings", "Warnings", list), list, shown: "" };
}

/** @param {import("../board.js").Board} board */
export function render(board) {
  const warnings = [...(board.table?.warnings ?? []), ...(board.status?.storage.notices ?? [])];
  const view = board.view("warnings", build);
  view.root.hidden = warnings.length === 0;
  const wanted = JSON.stringify(warnings);
  if (wanted === view.shown) {
    return;
  }
  view.shown = wanted;
  view.list.replaceChildren(
    ...warnings.map((warning) =>
      el(
        warning.blocks_flash ? "li.blocks" : "li",
        {},
        el("span.glyph", { "aria-hidden": "true" }, warning.blocks_flash ? "▲" : "△"),
        el("span", {}, warning.message, warning.blocks_flash ? el("strong", {}, " Do not flash yet.") : null),
      ),
    ),
  );
}
