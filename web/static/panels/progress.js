/** What now? How much of the table is known, cell by cell, and where driving would gain most. */

import { el, section, setText } from "../dom.js";
import { range } from "../format.js";
import { stretches } from "../plot.js";

/** At most so many cells make the stretch that is named. */
const STRETCH_CELLS = 5;

function build() {
  const words = el("p.words");
  const strip = el("div.strip", { role: "img" });
  const place = el("p.place");
  const detail = el("p.detail");
  section(
    "glance",
    "progress",
    "Drive here next",
    place,
    detail,
    strip,
    words,
  );
  return { words, strip, place, detail };
}

/** @param {import("../board.js").Board} board */
export function render(board) {
  const view = board.view("progress", build);
  const cells = board.table?.cells ?? [];
  const known = cells.filter((cell) => cell.state === "measured" || cell.state === "locked").length;
  const weak = cells.filter((cell) => cell.state === "weak").length;
  const words = cells.length > 0 ? `${known} of ${cells.length} cells measured, ${weak} weak` : "No table yet";
  setText(view.words, words);
  view.strip.setAttribute("aria-label", words);
  const [place, detail] = advice(board);
  setText(view.place, place);
  setText(view.detail, detail);
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
  });
}

/**
 * Where to drive: the range to look for, and what it means on the other instruments.
 * @param {import("../board.js").Board} board
 * @returns {[string, string]}
 */
function advice({ table }) {
  const next = table?.drive_next[0] ?? nearlyMeasured(table?.cells ?? []);
  if (next === null) {
    return (table?.samples.accepted ?? 0) > 0
      ? ["Anywhere", "Every cell that was driven is measured."]
      : ["Anywhere", "Warm the engine up and drive steadily."];
  }
  const volts = `${range(next.maf_v, 2)}\u00a0V`;
  const speed = next.rpm ? `about ${range(next.rpm, 0)}\u00a0rpm` : "";
  const load = next.load_g_rev ? `${range(next.load_g_rev, 1)}\u00a0g/rev` : "";
  const words = [volts, speed, load].filter(Boolean).join(", ");
  return next.flow_gs ? [`${range(next.flow_gs, 0)}\u00a0g/s`, words] : [volts, speed];
}

/**
 * Where the daemon names no place: the stretch of weak cells that has gathered most, since it takes
 * the least to finish.
 * @param {import("../board.js").Cell[]} cells
 * @returns {Pick<import("../board.js").DriveNext, "maf_v" | "flow_gs" | "rpm" | "load_g_rev"> | null}
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
  const flow = first.flow_gs !== null && last.flow_gs !== null;
  return {
    maf_v: [first.maf_v, last.maf_v],
    flow_gs: flow ? /** @type {[number, number]} */ ([first.flow_gs, last.flow_gs]) : null,
    rpm: null,
    load_g_rev: null,
  };
}
