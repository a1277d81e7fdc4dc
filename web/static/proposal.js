/** What the proposed table changes. */

/** A cell moves at most this much per flash, %. */
export const STEP_PCT = 10;

/**
 * @typedef {object} Change
 * @property {number} maf_v
 * @property {number} percent of the present flow
 * @property {number} wanted correction, %, which may be more than one flash gives
 */

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
