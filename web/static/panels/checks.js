/** May this table be flashed? Every check in words. */

import { el, section, setText } from "../dom.js";
import { fixed, signed } from "../format.js";
import { changesOf, isFit, STEP_PCT } from "../proposal.js";
import { GLYPHS } from "./table.js";

/** @typedef {{passed: boolean | null, words: string}} Check  null: not a check but something to know */

/** @type {Check} */
const SIMULATED = { passed: false, words: "The car is SIMULATED: this table is for no real one." };

export function build() {
  const verdict = el("p.figure", { role: "status" });
  const list = el("ul.checks");
  const summary = el("summary");
  const passed = el("ul.checks");
  const folded = el("details", {}, summary, passed);
  const root = section("checks", "Is it fit to be flashed?", verdict, list, folded);
  return { root, verdict, list, summary, passed, folded, shown: "" };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const { table } = board;
  if (table === null) {
    setText(view.verdict, "No table yet.");
    return;
  }
  const checks = checksOf(table);
  const open = checks.filter((check) => !check.passed).length;
  const staged = stages(table);
  const ready = staged.length === 0 ? "✓ Ready to flash" : "✓ Ready to flash, in stages";
  const fit = isFit(table);
  setText(view.verdict, fit ? ready : `✕ Not yet: ${open} ${open === 1 ? "check is" : "checks are"} open`);
  view.verdict.dataset.tone = fit ? "good" : "wait";
  const all = [...(board.simulated ? [SIMULATED] : []), ...staged, ...checks];
  const shown = JSON.stringify(all);
  if (shown !== view.shown) {
    view.shown = shown;
    const passed = all.filter((check) => check.passed);
    view.list.replaceChildren(...all.filter((check) => !check.passed).map(checkItem));
    view.passed.replaceChildren(...passed.map(checkItem));
    view.folded.hidden = passed.length === 0;
    setText(view.summary, passed.length === 1 ? "1 check passed" : `${passed.length} checks passed`);
  }
}

/**
 * @param {import("../board.js").Table} table
 * @returns {Check[]}
 */
function checksOf(table) {
  const measured = table.cells.filter((cell) => cell.state === "measured").length;
  const weak = table.cells.filter((cell) => cell.state === "weak").length;
  const flows = table.cells.every((cell) => cell.proposed_gs !== null);
  const found = table.held_out;
  return [
    { passed: flows, words: flows ? `The MAF table is known: ${table.maf_table.name}` : "The MAF table's flow (g/s) is not known: paste it below" },
    {
      passed: measured > 0,
      words: `${measured} of ${table.cells.length} cells are ${GLYPHS.measured} measured and move; ${weak} have too little evidence and stay`,
    },
    { passed: found !== null && found.passed, words: heldOutWords(found) },
    ...table.warnings.filter((warning) => warning.blocks_flash).map((warning) => ({ passed: false, words: warning.message })),
  ];
}

/** @param {import("../board.js").HeldOut | null} found */
function heldOutWords(found) {
  return found === null
    ? "Held-out check: not made yet; it needs five stretches of two minutes of driving"
    : `Held-out check ${found.passed ? "passed" : "failed"}: trims not seen are predicted to ` +
        `${fixed(found.rms_pct, 2)}\u00a0%; without correction ${fixed(found.rms_uncorrected_pct, 2)}\u00a0%, ` +
        `by plain means ${fixed(found.rms_nearest_pct, 2)}\u00a0%`;
}

/**
 * A warning where cells want more than one flash may give.
 * @param {import("../board.js").Table} table
 * @returns {Check[]}
 */
function stages(table) {
  const far = changesOf(table).filter((change) => Math.abs(change.wanted) > STEP_PCT);
  if (far.length === 0) {
    return [];
  }
  const largest = far.reduce((one, other) => (Math.abs(other.wanted) > Math.abs(one.wanted) ? other : one));
  const words =
    `BIG CHANGE: ${far.length} ${far.length === 1 ? "cell wants" : "cells want"} more than ±${STEP_PCT} % ` +
    `(${signed(largest.wanted, 1)} % at ${fixed(largest.maf_v, 2)} V). This table goes ${STEP_PCT} % of the way at most. ` +
    "Flash in stages: this one, drive again, then the next. Look for an air leak or a wrong table first.";
  return [{ passed: false, words }];
}

/** @param {Check} check */
export function checkItem({ passed, words }) {
  const [kind, glyph, name] = passed === null ? ["note", "•", ""] : passed ? ["passed", "✓", "passed: "] : ["open", "▲", "open: "];
  return el(
    `li.${kind}`,
    {},
    el("span.glyph", { "aria-hidden": "true" }, glyph),
    el("span", {}, name === "" ? null : el("span.unseen", {}, name), words),
  );
}
