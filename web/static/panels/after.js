/** Before and after a flash: did the trims move towards zero as predicted? */

import { el, section, setText } from "../dom.js";

const CODES = ["after_flash_as_predicted", "after_flash_unexpected"];

export function build() {
  const figure = el("p.figure");
  const words = el("p.words");
  return { root: section("after", "Before and after", figure, words), figure, words };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, { table }) {
  const found = table?.warnings.find((warning) => CODES.includes(warning.code));
  const revision = table?.maf_table.revision ?? 1;
  view.root.hidden = found === undefined && revision < 2;
  if (found === undefined) {
    setText(view.figure, "Not driven enough yet");
    setText(
      view.words,
      `Revision ${revision} of the table is in the ECU. Drive ten minutes over the cells that were changed: ` +
        "then the trims are held against what was predicted.",
    );
    return;
  }
  const good = found.code === CODES[0];
  setText(view.figure, good ? "✓ As predicted" : "▲ Not as predicted");
  view.figure.dataset.tone = good ? "good" : "wait";
  setText(view.words, `${found.message.charAt(0).toUpperCase()}${found.message.slice(1)}.`);
}
