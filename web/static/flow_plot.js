/** The curve in the ECU and the one to flash: flow, or its slope, by which tuners judge smoothness. */

import { svg } from "./dom.js";
import { fixed } from "./format.js";
import { drawGrid, frameOf } from "./frame.js";
import { line } from "./plot.js";
import { flowValue, unitName } from "./units.js";

/**
 * @typedef {import("./board.js").Cell} Cell
 * @typedef {import("./frame.js").Frame} Frame
 * @typedef {{maf_v: number, now: number, then: number, moves: boolean}} Place
 */

const BELOW = 44;

/**
 * What is drawn at each place: flow at the cells, or the rise between two cells per volt.
 * @param {Cell[]} cells
 * @param {boolean} slope
 * @returns {Place[]}
 */
export function placesOf(cells, slope) {
  const flows = cells.map((cell) => {
    const now = cell.flow_gs === null ? 0 : flowValue(cell.flow_gs);
    const then = cell.proposed_gs === null ? now : flowValue(cell.proposed_gs);
    return { maf_v: cell.maf_v, now, then, moves: then !== now };
  });
  if (!slope) {
    return flows;
  }
  return flows.slice(1).map((above, at) => {
    const below = flows[at];
    const volts = above.maf_v - below.maf_v;
    return {
      maf_v: (above.maf_v + below.maf_v) / 2,
      now: (above.now - below.now) / volts,
      then: (above.then - below.then) / volts,
      moves: above.moves || below.moves,
    };
  });
}

/**
 * @param {number} width
 * @param {[number, number]} volts
 * @param {Place[]} places
 */
export function flowFrame(width, volts, places) {
  const values = places
    .filter(({ maf_v }) => maf_v >= volts[0] && maf_v <= volts[1])
    .flatMap(({ now, then }) => [now, then]);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const room = 0.06 * (most - least || 1);
  return frameOf(width, volts, [Math.min(least - room, least < 0 ? least : Math.max(0, least - room)), most + room], BELOW);
}

/**
 * @param {Frame} frame
 * @param {Place[]} places
 * @param {boolean} slope
 * @returns {[SVGElement[], SVGElement[]]} the grid, and what is clipped to the plot
 */
export function drawFlow(frame, places, slope) {
  const unit = unitName("flow");
  const digits = frame.high - frame.low < 4 ? 1 : 0;
  const title = slope ? `rise from cell to cell, ${unit} per V` : `flow, ${unit}`;
  const grid = drawGrid(frame, title, (value) => fixed(value, digits), frame.bottom);
  const points = (/** @type {"now" | "then"} */ which) =>
    places.map((place) => /** @type {[number, number]} */ ([frame.x(place.maf_v), frame.y(place[which])]));
  const dots = places.map(({ maf_v, then, moves }) =>
    svg("circle", { class: moves ? "dot" : "dot stays", cx: frame.x(maf_v), cy: frame.y(then), r: moves ? 3.6 : 2.6 }),
  );
  return [
    grid,
    [
      svg("path", { class: "current", d: line(points("now")) }),
      svg("path", { class: "estimate", d: line(points("then")) }),
      ...dots,
    ],
  ];
}
