/** What a flash of the proposed table does to the car, in plain words. */

import { el, section } from "../dom.js";
import { fixed, signed } from "../format.js";
import { changesOf } from "../proposal.js";
import { checkItem } from "./checks.js";

export function build() {
  const list = el("ul.checks");
  return { root: section("effect", "What it does to the car", list), list, shown: "" };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, { table }) {
  view.root.hidden = table === null;
  if (table === null) {
    return;
  }
  const effects = effectsOf(table);
  const shown = effects.join("\n");
  if (shown !== view.shown) {
    view.shown = shown;
    view.list.replaceChildren(...effects.map((words) => checkItem({ passed: null, words })));
  }
}

/** @param {import("../board.js").Table} table */
function effectsOf(table) {
  const changes = changesOf(table);
  if (changes.length === 0) {
    return ["Nothing: no cell moves."];
  }
  const effects = [];
  const lower = changes.filter((change) => change.percent < 0);
  if (lower.length > 0) {
    const most = lower.reduce((one, other) => (other.percent < one.percent ? other : one));
    effects.push(
      `It lowers the curve in ${lower.length} ${lower.length === 1 ? "cell" : "cells"}, most at ${fixed(most.maf_v, 2)} V ` +
        `(${signed(most.percent, 1)} %). A lower curve means less calculated load, and so more timing and boost: ` +
        "check for knock on the next drive.",
    );
  }
  const higher = changes.length - lower.length;
  if (higher > 0) {
    effects.push(`It raises the curve in ${higher} ${higher === 1 ? "cell" : "cells"}: more fuel, more calculated load.`);
  }
  return effects;
}
