/**
 * The frame of a plot over MAF voltage: margins, scales, grid.
 *
 * @typedef {{width: number, height: number, x: import("./plot.js").Scale, y: import("./plot.js").Scale,
 *   left: number, right: number, top: number, bottom: number, low: number, high: number,
 *   volts: [number, number]}} Frame
 */

import { svg } from "./dom.js";
import { fixed } from "./format.js";
import { scale, ticks } from "./plot.js";

/**
 * @param {number} width
 * @param {[number, number]} volts
 * @param {[number, number]} values
 * @param {number} below room under the plot, px
 * @returns {Frame}
 */
export function frameOf(width, volts, [low, high], below) {
  const height = width < 600 ? 340 : 420;
  const [left, right, top, bottom] = [56, width - 14, 30, height - below];
  return {
    width, height, left, right, top, bottom, low, high, volts,
    x: scale(volts, [left + 4, right - 4]),
    y: scale([low, high], [bottom, top]),
  };
}

/**
 * Lines and numbers of both axes.
 * @param {Frame} frame
 * @param {string} title of the upright axis
 * @param {(value: number) => string} words for its numbers
 * @param {number} floor where the lines over the volts end, px
 */
export function drawGrid(frame, title, words, floor) {
  const { x, y, left, right, top, low, high, width, height, volts } = frame;
  const nodes = [];
  for (const value of ticks(low, high, 8)) {
    nodes.push(
      svg("line", { x1: left, x2: right, y1: y(value), y2: y(value), class: value === 0 ? "zero" : "" }),
      svg("text", { x: left - 8, y: y(value) + 5, "text-anchor": "end" }, words(value)),
    );
  }
  const digits = volts[1] - volts[0] < 1 ? 2 : 1;
  for (const value of ticks(volts[0], volts[1], width < 600 ? 5 : 9)) {
    nodes.push(
      svg("line", { x1: x(value), x2: x(value), y1: top, y2: floor }),
      svg("text", { x: x(value), y: floor + 19, "text-anchor": "middle" }, fixed(value, digits)),
    );
  }
  nodes.push(
    svg("line", { x1: left, x2: right, y1: floor, y2: floor, class: "zero" }),
    svg("text", { x: 4, y: 16, class: "unit" }, title),
    svg("text", { x: right, y: height - 6, "text-anchor": "end", class: "unit" }, "MAF voltage, V"),
  );
  return nodes;
}
