/** The correction over MAF voltage, with its 95 % band, the evidence below it, and the truth where it is known. */

import { el, section, svg } from "../dom.js";
import { fixed, signed } from "../format.js";
import { area, line, scale, stretches, ticks } from "../plot.js";

/**
 * @typedef {import("../board.js").Cell} Cell
 * @typedef {{width: number, height: number, x: import("../plot.js").Scale, y: import("../plot.js").Scale,
 *   left: number, right: number, top: number, bottom: number, low: number, high: number}} Frame
 */

const MARGIN = { left: 52, right: 14, top: 30, bottom: 92 };
const HITS_HEIGHT = 38;
const HITS_GAP = 10;

/** Counts change with every sample, the curve slowly: drawing it anew more often would only heat the phone. */
const REDRAW_MS = 500;

/** The plot shows at least this much on either side of zero, %. */
const LEAST_RANGE_PCT = 4;

function build() {
  const grid = svg("g", { class: "grid" });
  const data = svg("g", { class: "data" });
  const cursor = svg("line", { class: "cursor" });
  const picture = svg("svg", { role: "img" }, grid, data, cursor);
  const holder = el("div.plot", {}, picture);
  const legend = el(
    "ul.legend",
    {},
    key("estimate", "correction, measured"),
    key("band", "95 % interval, ▴▾ where it goes on beyond the plot"),
    key("dashed", "weak or filled from neighbours"),
    key("truth", "true error (simulated car)"),
    key("hits", "counted samples"),
  );
  const root = section("charts", "curve", "Correction over MAF voltage", holder, legend);
  const view = { root, grid, data, cursor, picture, holder, legend, width: 0, drawn: "", drawnAt: -REDRAW_MS, frame: /** @type {Frame | null} */ (null) };
  new ResizeObserver(([entry]) => {
    view.width = Math.floor(entry.contentRect.width);
  }).observe(holder);
  return view;
}

/**
 * @param {string} kind
 * @param {string} words
 */
function key(kind, words) {
  return el("li", { "data-key": kind }, el("i", { "aria-hidden": "true" }), words);
}

/** @param {import("../board.js").Board} board */
export function render(board) {
  const view = board.view("curve", build);
  const cells = board.table?.cells ?? [];
  view.root.hidden = cells.length < 2;
  if (cells.length < 2 || view.width < 100) {
    return;
  }
  const truth = board.status?.truth?.error_pct ?? null;
  const drawn = `${view.width} ${board.table?.revision} ${truth?.length ?? 0}`;
  const now = performance.now();
  if (drawn !== view.drawn && now - view.drawnAt >= REDRAW_MS) {
    view.drawn = drawn;
    view.drawnAt = now;
    view.legend.dataset.truth = String(truth !== null);
    view.legend.dataset.estimate = String(cells.some(isSolid));
    view.legend.dataset.band = String(cells.some((cell) => cell.ci95_pct !== null));
    view.frame = frameOf(view.width, cells, truth);
    drawPlot(view, view.frame, cells, truth);
  }
  moveCursor(view, board.fresh ? (board.live?.values.maf_v ?? null) : null);
}

/**
 * @param {number} width
 * @param {Cell[]} cells
 * @param {number[] | null} truth
 * @returns {Frame}
 */
function frameOf(width, cells, truth) {
  const height = width < 600 ? 340 : 420;
  const measured = cells.filter((cell) => cell.state === "measured");
  const values = [
    ...cells.map((cell) => cell.correction_pct ?? 0),
    ...measured.flatMap((cell) => cell.ci95_pct ?? []),
    ...(truth ?? []),
  ];
  const low = Math.min(-LEAST_RANGE_PCT, Math.floor(Math.min(...values) - 0.5));
  const high = Math.max(LEAST_RANGE_PCT, Math.ceil(Math.max(...values) + 0.5));
  const left = MARGIN.left;
  const right = width - MARGIN.right;
  const top = MARGIN.top;
  const bottom = height - MARGIN.bottom;
  const volts = /** @type {[number, number]} */ ([cells[0].maf_v, cells[cells.length - 1].maf_v]);
  return {
    width, height, left, right, top, bottom, low, high,
    x: scale(volts, [left + 4, right - 4]),
    y: scale([low, high], [bottom, top]),
  };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {Frame} frame
 * @param {Cell[]} cells
 * @param {number[] | null} truth
 */
function drawPlot(view, frame, cells, truth) {
  view.picture.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
  view.picture.setAttribute("width", String(frame.width));
  view.picture.setAttribute("height", String(frame.height));
  view.picture.setAttribute("aria-label", inWords(cells));
  view.grid.replaceChildren(...drawGrid(frame, cells));
  view.data.replaceChildren(
    ...drawHits(frame, cells),
    ...drawEstimate(frame, cells),
    ...drawCuts(frame, cells),
    ...(truth === null ? [] : drawTruth(frame, cells, truth)),
  );
}

/** @param {Cell[]} cells */
function inWords(cells) {
  const measured = cells.filter((cell) => cell.state === "measured" && cell.correction_pct !== null);
  if (measured.length === 0) {
    return "No cell is measured yet.";
  }
  const corrections = measured.map((cell) => /** @type {number} */ (cell.correction_pct));
  return (
    `${measured.length} measured cells from ${fixed(measured[0].maf_v, 2)} to ` +
    `${fixed(measured[measured.length - 1].maf_v, 2)} V; corrections from ` +
    `${signed(Math.min(...corrections), 1)} to ${signed(Math.max(...corrections), 1)} %.`
  );
}

/**
 * @param {Frame} frame
 * @param {Cell[]} cells
 */
function drawGrid(frame, cells) {
  const { x, y, left, right, top, bottom, low, high, width, height } = frame;
  const nodes = [];
  for (const value of ticks(low, high, 8)) {
    nodes.push(
      svg("line", { x1: left, x2: right, y1: y(value), y2: y(value), class: value === 0 ? "zero" : "" }),
      svg("text", { x: left - 8, y: y(value) + 5, "text-anchor": "end" }, signed(value, 0)),
    );
  }
  const floor = bottom + HITS_GAP + HITS_HEIGHT;
  for (const value of ticks(cells[0].maf_v, cells[cells.length - 1].maf_v, width < 600 ? 5 : 9)) {
    nodes.push(
      svg("line", { x1: x(value), x2: x(value), y1: top, y2: floor }),
      svg("text", { x: x(value), y: floor + 19, "text-anchor": "middle" }, fixed(value, 1)),
    );
  }
  nodes.push(
    svg("line", { x1: left, x2: right, y1: floor, y2: floor, class: "zero" }),
    svg("text", { x: 4, y: 16, class: "unit" }, "correction, %"),
    svg("text", { x: right, y: height - 6, "text-anchor": "end", class: "unit" }, "MAF voltage, V"),
    svg("text", { x: left - 8, y: floor - 2, "text-anchor": "end", class: "unit" }, "hits"),
  );
  return nodes;
}

/**
 * Bars of counted samples, on a logarithmic scale: idle gathers a thousand times what full load does.
 * @param {Frame} frame
 * @param {Cell[]} cells
 */
function drawHits(frame, cells) {
  const floor = frame.bottom + HITS_GAP + HITS_HEIGHT;
  const width = Math.min(7, (0.6 * (frame.right - frame.left)) / cells.length);
  const most = Math.log1p(Math.max(10, ...cells.map((cell) => cell.hits)));
  return cells
    .filter((cell) => cell.hits > 0)
    .map((cell) => {
      const height = Math.max(2, (HITS_HEIGHT * Math.log1p(cell.hits)) / most);
      return svg("line", {
        class: "hits",
        "stroke-width": width,
        x1: frame.x(cell.maf_v),
        x2: frame.x(cell.maf_v),
        y1: floor,
        y2: floor - height,
      });
    });
}

/** @param {Cell} cell */
function hasEvidence(cell) {
  return cell.correction_pct !== null && cell.state !== "interpolated" && cell.state !== "empty";
}

/** @param {Cell} cell */
function isSolid(cell) {
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
  return [svg("path", { class: "truth", d: line(points) })];
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {number | null} volts
 */
function moveCursor({ cursor, frame }, volts) {
  if (frame === null || volts === null) {
    cursor.setAttribute("visibility", "hidden");
    return;
  }
  const at = String(Math.max(frame.left, Math.min(frame.right, frame.x(volts))));
  cursor.setAttribute("visibility", "visible");
  cursor.setAttribute("x1", at);
  cursor.setAttribute("x2", at);
  cursor.setAttribute("y1", String(frame.top));
  cursor.setAttribute("y2", String(frame.bottom + HITS_GAP + HITS_HEIGHT));
}
