/** The curve: correction with its band, flow now and proposed, or the slope; enlarged by pinch, drag or keys. */

import { get } from "../api.js";
import { button, el, section, setText, svg } from "../dom.js";
import { fixed, signed } from "../format.js";
import { correctionFrame, drawCorrection, FLOOR, isSolid } from "../correction_plot.js";
import { drawFlow, flowFrame, placesOf } from "../flow_plot.js";
import { unitsKey } from "../units.js";
import { Zoom } from "../zoom.js";

/** @typedef {import("../board.js").Cell} Cell */

/** Counts change with every sample, the curve slowly: drawing it anew more often would only heat the phone. */
const REDRAW_MS = 500;

/** The samples behind the curve are asked for again after this long, ms. */
const POINTS_MS = 30_000;

const MODES = { correction: "Correction", flow: "Flow", slope: "Slope" };

/** @type {[string, string, string][]} kind, words, modes in which it is drawn */
const KEYS = [
  ["estimate", "correction, measured", "correction"],
  ["band", "95 % interval, ▴▾ where it goes on beyond the plot", "correction"],
  ["dashed", "weak or filled from neighbours", "correction"],
  ["points", "samples that counted", "correction"],
  ["truth", "true error (simulated car)", "correction"],
  ["hits", "counted samples", "correction"],
  ["current", "in the ECU now", "flow slope"],
  ["estimate", "to flash; ● measured, ○ stays as it is", "flow slope"],
];

export function build() {
  const grid = svg("g", { class: "grid" });
  const data = svg("g", { class: "data" });
  const opening = svg("rect");
  const cursor = svg("line", { class: "cursor" });
  const clip = svg("clipPath", { id: "curve-clip" }, opening);
  const picture = svg("svg", { role: "img", "aria-label": "Nothing is drawn yet" }, svg("defs", {}, clip), grid, svg("g", { "clip-path": "url(#curve-clip)" }, data), cursor);
  const holder = el("div.plot.zooms", { tabindex: "0", role: "group", "aria-label": "Plot; + and − enlarge, arrows move" }, picture);
  const modes = el("div.choices", { role: "group", "aria-label": "What is drawn" });
  const legend = el("ul.legend", {}, ...KEYS.map(([kind, words, of]) => key(kind, words, of)));
  const words = el("p.words");
  const zoom = new Zoom(holder, () => {
    view.drawn = "";
    view.drawnAt = -REDRAW_MS;
  });
  const tools = el(
    "div.choices",
    { role: "group", "aria-label": "Enlarge" },
    named(button("−", () => zoom.out()), "Smaller"),
    button("All", () => zoom.all()),
    named(button("+", () => zoom.in()), "Larger"),
  );
  const root = section("curve", "Correction over MAF voltage", el("div.tools", {}, modes, tools), holder, legend, words);
  const view = {
    root, grid, data, opening, cursor, picture, holder, legend, words, zoom,
    title: /** @type {HTMLElement} */ (root.firstElementChild),
    mode: "correction",
    width: 0,
    drawn: "",
    drawnAt: -REDRAW_MS,
    points: /** @type {import("../correction_plot.js").Points | null} */ (null),
    askedAt: -POINTS_MS,
    frame: /** @type {import("../frame.js").Frame | null} */ (null),
  };
  for (const [mode, title] of Object.entries(MODES)) {
    const choice = button(title, () => choose(mode));
    choice.setAttribute("aria-pressed", String(mode === view.mode));
    choice.dataset.mode = mode;
    modes.append(choice);
  }
  new ResizeObserver(([entry]) => {
    view.width = Math.floor(entry.contentRect.width);
  }).observe(holder);
  return view;

  /** @param {string} mode */
  function choose(mode) {
    view.mode = mode;
    view.drawn = "";
    view.drawnAt = -REDRAW_MS;
    for (const choice of modes.children) {
      choice.setAttribute("aria-pressed", String(/** @type {HTMLElement} */ (choice).dataset.mode === mode));
    }
  }
}

/**
 * @param {HTMLElement} element
 * @param {string} words
 */
function named(element, words) {
  element.setAttribute("aria-label", words);
  return element;
}

/**
 * @param {string} kind
 * @param {string} words
 * @param {string} modes
 */
function key(kind, words, modes) {
  return el("li", { "data-key": kind, "data-modes": modes }, el("i", { "aria-hidden": "true" }), words);
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const cells = board.table?.cells ?? [];
  view.root.hidden = cells.length < 2;
  if (cells.length < 2 || view.width < 100) {
    return;
  }
  const now = performance.now();
  if (now - view.askedAt >= POINTS_MS) {
    view.askedAt = now;
    void fetchPoints(view);
  }
  const truth = board.status?.truth?.error_pct ?? null;
  const drawn = `${view.width} ${board.table?.revision} ${truth?.length ?? 0} ${unitsKey()} ${view.mode}`;
  if (drawn !== view.drawn && now - view.drawnAt >= REDRAW_MS) {
    view.drawn = drawn;
    view.drawnAt = now;
    drawPlot(view, cells, truth);
    setText(view.words, describe(board));
  }
  moveCursor(view, board.fresh ? (board.live?.values.maf_v ?? null) : null);
}

/** @param {ReturnType<typeof build>} view */
async function fetchPoints(view) {
  const answer = await get("/api/v1/points");
  view.points = answer.ok ? answer.body : null;
  view.drawn = "";
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {Cell[]} cells
 * @param {number[] | null} truth
 */
function drawPlot(view, cells, truth) {
  const { mode, zoom, width, points, legend } = view;
  const flows = cells.every((cell) => cell.flow_gs !== null);
  const correction = mode === "correction";
  zoom.whole = [cells[0].maf_v, cells[cells.length - 1].maf_v];
  for (const item of legend.children) {
    const { modes } = /** @type {HTMLElement} */ (item).dataset;
    /** @type {HTMLElement} */ (item).hidden = !modes?.includes(mode) || (!correction && !flows);
  }
  legend.dataset.truth = String(truth !== null);
  legend.dataset.points = String(points !== null);
  legend.dataset.estimate = String(!correction || cells.some(isSolid));
  legend.dataset.band = String(cells.some((cell) => cell.ci95_pct !== null));
  setText(view.title, correction ? "Correction over MAF voltage" : mode === "flow" ? "Flow over MAF voltage" : "Slope of the curve");
  const places = placesOf(cells, mode === "slope");
  const frame = correction ? correctionFrame(width, zoom.shown, cells, truth) : flowFrame(width, zoom.shown, places);
  const [grid, data] = correction
    ? drawCorrection(frame, cells, points, truth)
    : flows
      ? drawFlow(frame, places, mode === "slope")
      : [[svg("text", { x: 8, y: 60 }, "There is no flow (g/s): name the MAF table, under Flash.")], []];
  view.frame = frame;
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${frame.height}`, width, height: frame.height })) {
    view.picture.setAttribute(name, String(value));
  }
  const floor = frame.bottom + (correction ? FLOOR : 0);
  const clip = { x: frame.left, y: 0, width: frame.right - frame.left, height: floor };
  for (const [name, value] of Object.entries(clip)) {
    view.opening.setAttribute(name, String(value));
  }
  view.picture.setAttribute("aria-label", inWords(cells));
  view.grid.replaceChildren(...grid);
  view.data.replaceChildren(...data);
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
 * The delay that was found, and what it and the rest of the method gain.
 * @param {import("../board.js").Board} board
 */
function describe({ table }) {
  if (table === null || table.lag_s === null || table.lag_s === undefined) {
    return "";
  }
  const lag = `Each trim is taken to answer the air of ${fixed(table.lag_s, 2)}\u00a0s before (median).`;
  const found = table.held_out;
  if (found === null) {
    return `${lag} What that gains is known after ten minutes of driving.`;
  }
  return (
    `${lag} Trims that were held out are predicted to ${fixed(found.rms_pct, 2)}\u00a0% by this curve, to ` +
    `${fixed(found.rms_nearest_pct, 2)}\u00a0% by plain means without a delay, and differ by ` +
    `${fixed(found.rms_uncorrected_pct, 2)}\u00a0% where nothing is corrected.`
  );
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {number | null} volts
 */
function moveCursor({ cursor, frame, mode }, volts) {
  const inside = frame !== null && volts !== null && volts >= frame.volts[0] - 0.05 && volts <= frame.volts[1] + 0.05;
  if (!inside) {
    cursor.setAttribute("visibility", "hidden");
    return;
  }
  const at = String(Math.max(frame.left, Math.min(frame.right, frame.x(volts))));
  cursor.setAttribute("visibility", "visible");
  cursor.setAttribute("x1", at);
  cursor.setAttribute("x2", at);
  cursor.setAttribute("y1", String(frame.top));
  cursor.setAttribute("y2", String(frame.bottom + (mode === "correction" ? FLOOR : 0)));
}
