/** What now? Where driving would gain most, whether the car is there, and how much of the table is known. */

import { el, section, setText } from "../dom.js";
import { range } from "../format.js";
import { stretches } from "../plot.js";
import { isFit } from "../proposal.js";
import { flow, flowRange } from "../units.js";

/** @typedef {Pick<import("../board.js").DriveNext, "maf_v" | "flow_gs" | "rpm" | "load_g_rev">} Place */

/** At most so many cells make the stretch that is named. */
const STRETCH_CELLS = 5;

/** Up to this air per revolution, g/rev, a load is called so; a naturally aspirated two litres fills with 1.2. */
const LOADS = [
  [0.5, "light load"],
  [1.1, "medium load"],
  [Number.POSITIVE_INFINITY, "high load"],
];

export function build() {
  const words = el("p.words");
  const strip = el("div.strip", { role: "img", "aria-label": "No table yet" });
  const place = el("p.place");
  const detail = el("p.detail");
  const steer = el("p.steer");
  const ready = el("a.button.primary.ready", { href: "#flash" }, "✓ A table is ready: take it");
  const root = section("progress", "Drive here next", place, steer, detail, strip, words, ready);
  return { root, words, strip, place, detail, steer, ready };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const cells = board.table?.cells ?? [];
  const known = cells.filter((cell) => cell.state === "measured" || cell.state === "locked").length;
  const weak = cells.filter((cell) => cell.state === "weak").length;
  const words = cells.length > 0 ? `${known} of ${cells.length} cells measured, ${weak} weak` : "No table yet";
  setText(view.words, words);
  view.ready.hidden = board.table === null || !isFit(board.table);
  view.strip.setAttribute("aria-label", words);
  const next = board.table?.drive_next[0] ?? nearlyMeasured(cells);
  const [place, detail] = advice(next, board);
  setText(view.place, place);
  setText(view.detail, detail);
  const steer = next === null ? null : steering(next, board);
  view.steer.hidden = steer === null;
  if (steer !== null) {
    view.steer.dataset.there = String(steer[0]);
    setText(view.steer, steer[1]);
  }
  while (view.strip.childElementCount < cells.length) {
    view.strip.append(el("i"));
  }
  while (view.strip.childElementCount > cells.length) {
    view.strip.lastElementChild?.remove();
  }
  cells.forEach((cell, at) => {
    const mark = /** @type {HTMLElement} */ (view.strip.children[at]);
    mark.dataset.state = cell.state;
    mark.classList.toggle("is-current", board.fresh && at === board.live?.cell);
    mark.classList.toggle("is-next", next !== null && cell.maf_v >= next.maf_v[0] && cell.maf_v <= next.maf_v[1]);
  });
}

/**
 * What the driver can see on his own instruments, and what it is on the sensor.
 * @param {Place | null} next
 * @param {import("../board.js").Board} board
 * @returns {[string, string]}
 */
function advice(next, { table }) {
  if (next === null) {
    return (table?.samples.accepted ?? 0) > 0
      ? ["Anywhere", "Every cell that was driven is measured."]
      : ["Anywhere", "Warm the engine up and drive steadily."];
  }
  const volts = `${range(next.maf_v, 2)}\u00a0V`;
  const air = next.flow_gs === null ? "" : flowRange(next.flow_gs);
  if (next.rpm === null) {
    return [air || volts, air ? volts : ""];
  }
  const revs = `${range(next.rpm, 0)}\u00a0rpm`;
  const load = next.load_g_rev === null ? "" : loadWords(next.load_g_rev);
  return [revs, [load, air, volts].filter(Boolean).join(" · ")];
}

/** @param {[number, number]} load g/rev */
function loadWords([low, high]) {
  return String(LOADS.find(([most]) => (low + high) / 2 <= Number(most))?.[1]);
}

/**
 * Whether the car is there now, else which way it is.
 * @param {Place} next
 * @param {import("../board.js").Board} board
 * @returns {[boolean, string] | null}
 */
function steering(next, board) {
  const volts = board.fresh ? board.live?.values.maf_v : null;
  if (volts == null) {
    return null;
  }
  const gs = board.live?.values.maf_gs;
  const now = gs == null || next.flow_gs === null ? `${volts.toFixed(2)}\u00a0V` : flow(gs, 0);
  const [low, high] = next.maf_v;
  if (volts >= low && volts <= high) {
    return [true, `● Here it is: hold it steady (now ${now})`];
  }
  return [false, volts < low ? `▲ More air: now ${now}` : `▼ Less air: now ${now}`];
}

/**
 * Where the daemon names no place: the stretch of weak cells that has gathered most, since it takes
 * the least to finish.
 * @param {import("../board.js").Cell[]} cells
 * @returns {Place | null}
 */
function nearlyMeasured(cells) {
  const pieces = stretches(cells, (cell) => cell.state === "weak").flatMap((stretch) =>
    Array.from({ length: Math.max(1, stretch.length - STRETCH_CELLS + 1) }, (_, at) =>
      stretch.slice(at, at + STRETCH_CELLS),
    ),
  );
  const gathered = (/** @type {import("../board.js").Cell[]} */ piece) =>
    piece.reduce((sum, cell) => sum + cell.hits, 0);
  const best = pieces.sort((one, other) => gathered(other) - gathered(one))[0];
  if (best === undefined) {
    return null;
  }
  const [first, last] = [best[0], best[best.length - 1]];
  const known = first.flow_gs !== null && last.flow_gs !== null;
  return {
    maf_v: [first.maf_v, last.maf_v],
    flow_gs: known ? /** @type {[number, number]} */ ([first.flow_gs, last.flow_gs]) : null,
    rpm: null,
    load_g_rev: null,
  };
}
