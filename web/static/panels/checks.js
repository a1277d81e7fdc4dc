/** May this table be flashed? Every check in words, and what a flash will do to the car. */

import { el, section, setText } from "../dom.js";
import { fixed, signed } from "../format.js";
import { GLYPHS } from "./table.js";

/** A cell moves at most this much per flash, %. */
const STEP_PCT = 10;

/** @typedef {{passed: boolean | null, words: string}} Check  null: not a check but something to know */

/** @type {Check} */
const SIMULATED = { passed: false, words: "The car is SIMULATED: this table is for no real one." };

export function build() {
  const verdict = el("p.figure", { role: "status" });
  const list = el("ul.checks");
  const effect = el("ul.checks");
  const root = section(
    "checks",
    "Is it fit to be flashed?",
    verdict,
    list,
    el("h3", {}, "What it does to the car"),
    effect,
  );
  return { root, verdict, list, effect, shown: "" };
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
  const open = checks.filter((check) => check.passed === false).length;
  setText(view.verdict, open === 0 ? "✓ Ready to flash" : `✕ Not yet: ${open} ${open === 1 ? "check is" : "checks are"} open`);
  view.verdict.dataset.tone = open === 0 ? "good" : "wait";
  const effects = [...(board.simulated ? [SIMULATED] : []), ...effectsOf(table)];
  const shown = JSON.stringify([checks, effects]);
  if (shown !== view.shown) {
    view.shown = shown;
    view.list.replaceChildren(...checks.map(item));
    view.effect.replaceChildren(...effects.map(item));
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
 * @param {import("../board.js").Table} table
 * @returns {Check[]}
 */
function effectsOf({ cells }) {
  const changes = cells
    .filter((cell) => cell.flow_gs && cell.proposed_gs !== null && cell.proposed_gs !== cell.flow_gs)
    .map((cell) => ({
      maf_v: cell.maf_v,
      percent: (100 * (/** @type {number} */ (cell.proposed_gs) - /** @type {number} */ (cell.flow_gs))) / /** @type {number} */ (cell.flow_gs),
      wanted: cell.correction_pct ?? 0,
    }));
  /** @type {Check[]} */
  const effects = [];
  const far = changes.filter((change) => Math.abs(change.wanted) > STEP_PCT);
  if (far.length > 0) {
    const largest = far.reduce((one, other) => (Math.abs(other.wanted) > Math.abs(one.wanted) ? other : one));
    effects.push({
      passed: false,
      words:
        `BIG CHANGE: ${far.length} ${far.length === 1 ? "cell wants" : "cells want"} more than ±${STEP_PCT} % ` +
        `(${signed(largest.wanted, 1)} % at ${fixed(largest.maf_v, 2)} V). This table goes ${STEP_PCT} % of the way at most. ` +
        "Flash in stages: this one, drive again, then the next. Look for an air leak or a wrong table first.",
    });
  }
  const lower = changes.filter((change) => change.percent < 0);
  if (lower.length > 0) {
    const most = lower.reduce((one, other) => (other.percent < one.percent ? other : one));
    effects.push({
      passed: null,
      words:
        `It lowers the curve in ${lower.length} ${lower.length === 1 ? "cell" : "cells"}, most at ${fixed(most.maf_v, 2)} V ` +
        `(${signed(most.percent, 1)} %). A lower curve means less calculated load, and so more timing and boost: ` +
        "check for knock on the next drive.",
    });
  }
  const higher = changes.length - lower.length;
  if (higher > 0) {
    effects.push({ passed: null, words: `It raises the curve in ${higher} ${higher === 1 ? "cell" : "cells"}: more fuel, more calculated load.` });
  }
  if (changes.length === 0) {
    effects.push({ passed: null, words: "Nothing: no cell moves." });
  }
  return effects;
}

/** @param {Check} check */
function item({ passed, words }) {
  const [kind, glyph, name] = passed === null ? ["note", "•", ""] : passed ? ["passed", "✓", "passed: "] : ["open", "▲", "open: "];
  return el(
    `li.${kind}`,
    {},
    el("span.glyph", { "aria-hidden": "true" }, glyph),
    el("span", {}, name === "" ? null : el("span.unseen", {}, name), words),
  );
}
