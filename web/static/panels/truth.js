/** Only for the simulated car: how near the estimate is to the error that the car was given. */

import { el, explained, section, setText } from "../dom.js";
import { fixed } from "../format.js";

function build() {
  const figure = el("p.figure");
  const words = el(
    "p.words",
    {},
    "How far the learned correction is from the error the simulated car was given, over the cells with 10\u00a0s " +
      "of closed loop or more, weak ones too.",
  );
  const why = explained(
    "What is RMSE?",
    "The root mean square error: how far the correction typically is from the error that the simulated " +
      "sensor was given. " +
      "In a real car nobody knows the true error, and this panel is not there.",
  );
  return { root: section("glance", "truth", "Against the truth", figure, words, why), figure };
}

/** @param {import("../board.js").Board} board */
export function render(board) {
  const view = board.view("truth", build);
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
