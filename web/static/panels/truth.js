/** Only for the simulated car: how near the estimate is to the error that the car was given. */

import { el, explained, section, setText } from "../dom.js";
import { fixed } from "../format.js";

export function build() {
  const figure = el("p.figure");
  const why = explained(
    "What is RMSE?",
    "How far the learned correction is from the error the simulated car was given, over the cells with 10\u00a0s " +
      "of closed loop or more, weak ones too: the root mean square error. " +
      "In a real car nobody knows the true error, and this panel is not there.",
  );
  return { root: section("truth", "Against the truth", figure, why), figure };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const truth = board.status?.truth ?? null;
  view.root.hidden = truth === null;
  if (truth !== null) {
    setText(
      view.figure,
      truth.rmse_pct === null
        ? "No cell has seen 10 s of closed loop yet"
        : `RMSE ${fixed(truth.rmse_pct, 2)}\u00a0% over ${truth.cells}\u00a0${truth.cells === 1 ? "cell" : "cells"}`,
    );
  }
}
