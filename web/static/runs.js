/**
 * Analyses of uploaded logs, as several panels show them.
 *
 * @typedef {{id: string, status: string, progress: number, error: string | null, estimator: string,
 *   logs: {id: string, name: string | null}[], filters: Record<string, any> | null}} Run
 */

import { count, share, signed } from "./format.js";

const GOES_ON = ["unstarted", "processing"];

/** @param {Run} run */
export function goesOn(run) {
  return GOES_ON.includes(run.status);
}

/** @param {Run} run */
export function isDone(run) {
  return run.status.startsWith("completed");
}

/**
 * The newest run of each log that is there and was looked at by itself.
 * @param {Run[]} runs the newest first
 * @returns {Map<string, Run>} by the log's id
 */
export function ownRuns(runs) {
  const own = new Map();
  for (const run of runs) {
    const [log] = run.logs;
    if (run.logs.length === 1 && log.name !== null && run.status !== "cancelled" && !own.has(log.id)) {
      own.set(log.id, run);
    }
  }
  return own;
}

/**
 * What came of a run, in a sentence or two.
 * @param {{table: import("./board.js").Table | null, notes: string[]}} run
 */
export function resultWords({ table, notes }) {
  if (table === null) {
    return notes.join(" ");
  }
  const { accepted, seen } = table.samples;
  const measured = table.cells.filter((cell) => cell.state === "measured" && cell.correction_pct !== null);
  const values = measured.map((cell) => /** @type {number} */ (cell.correction_pct));
  const spread = values.length === 0 ? "" : `: ${signed(Math.min(...values), 1)} to ${signed(Math.max(...values), 1)}\u00a0%`;
  const warnings = table.warnings.filter((warning) => warning.blocks_flash).map((warning) => `▲ ${warning.message}`);
  return [
    `${share(accepted, seen)} of ${count(seen)} samples counted, ${measured.length} of ${table.cells.length} cells measured${spread}.`,
    ...warnings,
    ...notes.map(String),
  ].join(" ");
}
