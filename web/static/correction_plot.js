/** The correction over MAF voltage: band, samples, evidence, and the truth where it is known. */

import { svg } from "./dom.js";
import { signed } from "./format.js";
import { drawGrid, frameOf } from "./frame.js";
import { area, line, stretches } from "./plot.js";

/**
 * @typedef {import("./board.js").Cell} Cell
 * @typedef {import("./frame.js").Frame} Frame
 * @typedef {{maf_v: number[], trim_pct: number[]}} Points
 */

const BELOW = 92;
const HITS_HEIGHT = 38;
const HITS_GAP = 10;

/** The plot shows at least this much on either side of zero, %. */
const LEAST_RANGE_PCT = 4;

/** How far below the plot its bars stand, px. */
export const FLOOR = HITS_GAP + HITS_HEIGHT;

/**
 * @param {number} width
 * @param {[number, number]} volts
 * @param {Cell[]} cells
 * @param {number[] | null} truth
 */
export function correctionFrame(width, volts, cells, truth) {
  const inside = cells.map((cell) => cell.maf_v >= volts[0] && cell.maf_v <= volts[1]);
  const shown = cells.filter((_, at) => inside[at]);
  const values = [
    ...shown.map((cell) => cell.correction_pct ?? 0),
    ...shown.filter((cell) => cell.state === "measured").flatMap((cell) => cell.ci95_pct ?? []),
    ...(truth ?? []).filter((_, at) => inside[at]),
  ];
  const low = Math.min(-LEAST_RANGE_PCT, Math.floor(Math.min(...values) - 0.5));
  const high = Math.max(LEAST_RANGE_PCT, Math.ceil(Math.max(...values) + 0.5));
  return frameOf(width, volts, [low, high], BELOW);
}

/**
 * @param {Frame} frame
 * @param {Cell[]} cells
 * @param {Points | null} points
 * @param {number[] | null} truth
 * @returns {[SVGElement[], SVGElement[]]} the grid, and what is clipped to the plot
 */
export function drawCorrection(frame, cells, points, truth) {
  const floor = frame.bottom + FLOOR;
  const grid = drawGrid(frame, "correction, %", (value) => signed(value, 0), floor);
  grid.push(svg("text", { x: frame.left - 8, y: floor - 2, "text-anchor": "end", class: "unit" }, "hits"));
  return [
    grid,
    [
      ...drawHits(frame, cells),
      ...(points === null ? [] : [drawPoints(frame, points)]),
      ...drawEstimate(frame, cells),
      ...drawCuts(frame, cells),
      ...(truth === null ? [] : [drawTruth(frame, cells, truth)]),
    ],
  ];
}

/**
 * Every sample is a dot of one single path: thousands of elements would tire a phone.
 * @param {Frame} frame
 * @param {Points} points
 */
function drawPoints({ x, y, low, high, volts }, points) {
  const dots = points.maf_v
    .map((maf_v, at) => [maf_v, points.trim_pct[at]])
    .filter(([maf_v, trim]) => maf_v >= volts[0] && maf_v <= volts[1] && trim >= low && trim <= high)
    .map(([maf_v, trim]) => `M${x(maf_v).toFixed(1)} ${y(trim).toFixed(1)}h0`);
  return svg("path", { class: "points", d: dots.join("") });
}

/**
 * Bars of counted samples, on a logarithmic scale: idle gathers a thousand times what full load does.
 * @param {Frame} frame
 * @param {Cell[]} cells
 */
function drawHits(frame, cells) {
  const floor = frame.bottom + FLOOR;
  const shown = cells.filter((cell) => cell.maf_v >= frame.volts[0] && cell.maf_v <= frame.volts[1]);
  const width = Math.min(12, (0.6 * (frame.right - frame.left)) / Math.max(1, shown.length));
  const most = Math.log1p(Math.max(10, ...cells.map((cell) => cell.hits)));
  return cells
    .filter((cell) => cell.hits > 0)
    .map((cell) => {
      const height = Math.max(2, (HITS_HEIGHT * Math.log1p(cell.hits)) / most);
      const x = frame.x(cell.maf_v);
      return svg("line", { class: "hits", "stroke-width": width, x1: x, x2: x, y1: floor, y2: floor - height });
    });
}

/** @param {Cell} cell */
function hasEvidence(cell) {
  return cell.correction_pct !== null && cell.state !== "interpolated" && cell.state !== "empty";
}

/** @param {Cell} cell */
export function isSolid(cell) {
  return hasEvidence(cell) && cell.state !== "weak";
}

/**
 * Marks at the edge of the plot where the interval of a weak cell goes on beyond it. The axis holds
 * those of measured cells whole; one weak cell at ±40 % would press everything else flat.
 * @param {Frame} frame
 * @param {Cell[]} cells
 */
function drawCuts({ x, low, high, top, bottom }, cells) {
  return cells.filter(hasEvidence).flatMap((cell) => {
    const [from, to] = cell.ci95_pct ?? [0, 0];
    const at = x(cell.maf_v);
    return [
      ...(to > high ? [svg("path", { class: "cut", d: `M${at - 4} ${top - 2}h8l-4 -6z` })] : []),
      ...(from < low ? [svg("path", { class: "cut", d: `M${at - 4} ${bottom + 1}h8l-4 6z` })] : []),
    ];
  });
}

/**
 * @param {Frame} frame
 * @param {Cell[]} cells
 */
function drawEstimate({ x, y, low, high }, cells) {
  const nodes = [];
  const inside = (/** @type {number} */ value) => y(Math.max(low, Math.min(high, value)));
  /** @returns {[number, number]} */
  const point = (/** @type {Cell} */ cell) => [x(cell.maf_v), inside(cell.correction_pct ?? 0)];
  for (const stretch of stretches(cells, (cell) => hasEvidence(cell) && cell.ci95_pct !== null)) {
    const edge = (/** @type {0 | 1} */ side) =>
      stretch.map((cell) => /** @type {[number, number]} */ ([x(cell.maf_v), inside(cell.ci95_pct?.[side] ?? 0)]));
    nodes.push(svg("path", { class: "band", d: area(edge(1), edge(0)) }));
  }
  for (const stretch of stretches(cells, (cell) => cell.correction_pct !== null)) {
    nodes.push(svg("path", { class: "dashed", d: line(stretch.map(point)) }));
  }
  for (const stretch of stretches(cells, isSolid)) {
    nodes.push(svg("path", { class: "estimate", d: line(stretch.map(point)) }));
  }
  for (const cell of cells.filter(hasEvidence)) {
    const [cx, cy] = point(cell);
    nodes.push(svg("circle", { class: `dot ${cell.state}`, cx, cy, r: cell.state === "weak" ? 3.2 : 3.8 }));
  }
  return nodes;
}

/**
 * @param {Frame} frame
 * @param {Cell[]} cells
 * @param {number[]} truth
 */
function drawTruth({ x, y }, cells, truth) {
  const points = cells.slice(0, truth.length).map((cell, at) => /** @type {[number, number]} */ ([x(cell.maf_v), y(truth[at])]));
  return svg("path", { class: "truth", d: line(points) });
}
