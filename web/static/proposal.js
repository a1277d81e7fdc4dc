/** What the proposed table changes, and whether it may be flashed. */

/** A cell moves at most this much per flash, %. */
export const STEP_PCT = 10;

/**
 * @typedef {object} Change
 * @property {number} maf_v
 * @property {number} percent of the present flow
 * @property {number} wanted correction, %, which may be more than one flash gives
 */

/**
 * Whether every check is passed, as the daemon sees it before it gives a table out.
 * @param {import("./board.js").Table} table
 */
export function isFit({ cells, held_out: heldOut, warnings }) {
  return (
    cells.every((cell) => cell.proposed_gs !== null) &&
    cells.some((cell) => cell.state === "measured") &&
    heldOut !== null &&
    heldOut.passed &&
    !warnings.some((warning) => warning.blocks_flash)
  );
}

/**
 * Cells that a flash would change.
 * @param {import("./board.js").Table} table
 * @returns {Change[]}
 */
export function changesOf({ cells }) {
  return cells.flatMap(({ maf_v, flow_gs: now, proposed_gs: then, correction_pct: wanted }) =>
    now && then !== null && then !== now ? [{ maf_v, percent: (100 * (then - now)) / now, wanted: wanted ?? 0 }] : [],
  );
}
