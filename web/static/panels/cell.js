/** One cell: what is known of it, how that came about, the samples behind it, and its lock. */

import { ask, get } from "../api.js";
import { button, el, section, setText, svg, whenParked } from "../dom.js";
import { count, duration, fixed, signed, UNKNOWN } from "../format.js";
import { area, line, scale, ticks } from "../plot.js";
import { flow, temperature } from "../units.js";
import { GLYPHS } from "./table.js";

/** Its history is asked for again after this long, ms. */
const REFRESH_MS = 12_000;
const SHOWN_SAMPLES = 10;
const SIZE = { width: 340, height: 190, left: 44, right: 8, top: 14, bottom: 34 };

const STATES = {
  measured: "measured: known well enough to be flashed",
  weak: "weak: some evidence, but too little to be flashed",
  interpolated: "interpolated: no evidence of its own, filled from its neighbours; it keeps its flow",
  empty: "empty: never driven; it keeps its flow",
  locked: "locked by you: it keeps its flow",
};

/** @param {import("../board.js").Board} board */
export function build(board) {
  const value = el("p.figure");
  const facts = el("dl.facts");
  const picture = svg("svg", { role: "img", "aria-label": "Nothing is drawn yet", viewBox: `0 0 ${SIZE.width} ${SIZE.height}` });
  const history = el("div.plot.history", {}, picture);
  const historyWords = el("p.soft");
  const samples = el("ul.samples");
  const samplesWords = el("p.soft");
  const outcome = el("p.outcome", { role: "status" });
  const lock = button("Lock", () => toggleLock());
  const interval = el("p.words");
  const previous = el("a.button", { "aria-label": "Cell below" }, "‹");
  const next = el("a.button", { "aria-label": "Cell above" }, "›");
  const body = el(
    "div",
    {},
    value,
    interval,
    facts,
    whenParked(el("div.actions", {}, lock)),
    outcome,
    el("h3", {}, "How it came about"),
    history,
    historyWords,
    el("h3", {}, "Newest samples that counted here"),
    samples,
    samplesWords,
  );
  const steps = el("div.actions.steps", {}, previous, el("a.button", { href: "#table" }, "All cells"), next);
  const hint = el("p.words", {}, "Choose a cell of the table to see its history and its samples.");
  const root = section("cell", "Cell", hint, steps, body);
  const view = {
    root, hint, steps, body, value, interval, facts, picture, history, historyWords, samples, samplesWords, lock, previous, next,
    outcome,
    title: /** @type {HTMLElement} */ (root.firstElementChild),
    asked: "",
    askedAt: 0,
    shown: "",
  };
  return view;

  async function toggleLock() {
    const cell = board.chosen;
    const locked = board.table?.cells[cell ?? -1]?.state === "locked";
    const name = locked ? "unlock_cells" : "lock_cells";
    const answer = await ask("POST", "/api/v1/commands", { json: { command: name, cells: [cell] } });
    setText(outcome, answer.ok ? (locked ? "Unlocked." : "Locked: a flash leaves this cell as it is.") : answer.message);
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const at = board.chosen;
  const cells = board.table?.cells ?? [];
  const cell = at === null ? undefined : cells[at];
  const none = at === null || cell === undefined;
  view.hint.hidden = !none;
  view.steps.hidden = none;
  view.body.hidden = none;
  setText(view.title, none ? "Cell" : `Cell at ${fixed(cell.maf_v, 2)} V (${at + 1} of ${cells.length})`);
  if (none) {
    return;
  }
  step(view.previous, at - 1, cells.length);
  step(view.next, at + 1, cells.length);
  setText(view.value, cell.correction_pct === null ? "No correction known" : `${signed(cell.correction_pct, 1)}\u00a0%`);
  setText(view.interval, intervalWords(cell));
  const facts = factsOf(cell);
  const shown = JSON.stringify(facts);
  if (shown !== view.shown) {
    view.shown = shown;
    view.facts.replaceChildren(...facts.map(([name, words]) => el("div", {}, el("dt", {}, name), el("dd", {}, words))));
  }
  setText(view.lock, cell.state === "locked" ? "Unlock this cell" : "Lock this cell");
  const asked = `${at} ${board.table?.maf_table.revision} ${board.table?.epoch}`;
  if (asked !== view.asked || performance.now() - view.askedAt > REFRESH_MS) {
    if (asked !== view.asked) {
      setText(view.outcome, "");
    }
    view.asked = asked;
    view.askedAt = performance.now();
    void fetchDetails(view, at, asked);
  }
}

/**
 * @param {HTMLElement} link
 * @param {number} to
 * @param {number} cells
 */
function step(link, to, cells) {
  const there = to >= 0 && to < cells;
  there ? link.setAttribute("href", `#table/${to}`) : link.removeAttribute("href");
  link.classList.toggle("is-off", !there);
}

/** @param {import("../board.js").Cell} cell */
function intervalWords({ ci95_pct: interval }) {
  return interval === null ? "" : `With 95\u00a0% certainty between ${signed(interval[0], 1)} and ${signed(interval[1], 1)}\u00a0%.`;
}

/**
 * @param {import("../board.js").Cell} cell
 * @returns {[string, string][]}
 */
function factsOf(cell) {
  const { flow_gs: now, proposed_gs: then } = cell;
  const moves = now !== null && then !== null && now !== then;
  return [
    ["State", `${GLYPHS[cell.state]} ${STATES[cell.state]}`],
    ["Flow now", flow(now, 2)],
    ["To flash", moves ? `${flow(then, 2)} (${signed((100 * (then - now)) / now, 1)}\u00a0%)` : "stays as it is"],
    ["Evidence", `${count(cell.hits)} samples, ${cell.effective_hits === null ? UNKNOWN : fixed(cell.effective_hits, 1)} of them independent`],
  ];
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {number} at
 * @param {string} asked
 */
async function fetchDetails(view, at, asked) {
  const answer = await get(`/api/v1/cells/${at}`);
  if (asked !== view.asked) {
    return; // another cell was chosen meanwhile
  }
  view.history.hidden = !answer.ok;
  if (!answer.ok) {
    setText(view.historyWords, answer.message);
    view.samples.replaceChildren();
    setText(view.samplesWords, "");
    return;
  }
  const { history, samples, no_samples_because: because } = answer.body;
  const known = history.filter((/** @type {any} */ step) => step.correction_pct !== null);
  view.history.hidden = known.length === 0;
  setText(view.historyWords, historyWords(known));
  draw(view.picture, known);
  view.samples.replaceChildren(...samples.slice(-SHOWN_SAMPLES).reverse().map(sampleItem));
  setText(view.samplesWords, because ?? (samples.length === 0 ? "None in the newest driving." : ""));
}

/** @param {{session: number | null, minute: number | null, correction_pct: number}[]} steps */
function historyWords(steps) {
  if (steps.length === 0) {
    return "Nothing known yet.";
  }
  const [first, last] = [steps[0], steps[steps.length - 1]];
  return `From ${signed(first.correction_pct, 1)}\u00a0% (${when(first)}) to ${signed(last.correction_pct, 1)}\u00a0% (${when(last)}).`;
}

/** @param {{session: number | null, minute: number | null}} step */
function when({ session, minute }) {
  return session === null || minute === null ? "earlier drives" : `drive ${session}, ${fixed(minute, 0)}\u00a0min`;
}

/** @param {{session: number, t_s: number, trim_pct: number, rpm: number | null, iat_c: number | null}} sample */
function sampleItem({ session, t_s, trim_pct, rpm, iat_c }) {
  const more = [
    rpm === null ? "" : `${fixed(rpm, 0)}\u00a0rpm`,
    iat_c === null ? "" : `intake ${temperature(iat_c)}`,
    `drive ${session} at ${duration(t_s)}`,
  ];
  return el("li", {}, el("b", {}, `${signed(trim_pct, 1)}\u00a0%`), el("span", {}, more.filter(Boolean).join(" · ")));
}

/**
 * The estimate with its band, step by step.
 * @param {SVGElement} picture
 * @param {{correction_pct: number, ci95_pct: [number, number] | null}[]} steps
 */
function draw(picture, steps) {
  const values = steps.flatMap((step) => step.ci95_pct ?? [step.correction_pct]);
  const low = Math.min(0, Math.floor(Math.min(...values)));
  const high = Math.max(low + 2, 0, Math.ceil(Math.max(...values)));
  const x = scale([0, Math.max(1, steps.length - 1)], [SIZE.left + 6, SIZE.width - SIZE.right - 6]);
  const y = scale([low, high], [SIZE.height - SIZE.bottom, SIZE.top]);
  const edge = (/** @type {0 | 1} */ side) =>
    steps.map((step, at) => /** @type {[number, number]} */ ([x(at), y(step.ci95_pct?.[side] ?? step.correction_pct)]));
  const points = steps.map((step, at) => /** @type {[number, number]} */ ([x(at), y(step.correction_pct)]));
  const grid = ticks(low, high, 5).flatMap((value) => [
    svg("line", { x1: SIZE.left, x2: SIZE.width - SIZE.right, y1: y(value), y2: y(value), class: value === 0 ? "zero" : "" }),
    svg("text", { x: SIZE.left - 6, y: y(value) + 5, "text-anchor": "end" }, signed(value, 0)),
  ]);
  picture.replaceChildren(
    svg("g", { class: "grid" }, ...grid),
    svg("path", { class: "band", d: area(edge(1), edge(0)) }),
    svg("path", { class: "estimate", d: line(points) }),
    ...points.map(([cx, cy]) => svg("circle", { class: "dot", cx, cy, r: 3 })),
    svg("text", { x: SIZE.left, y: SIZE.height - 8 }, "%, over what was driven"),
  );
  picture.setAttribute("aria-label", `Correction of this cell over what was driven: ${historyWords(/** @type {any} */ (steps))}`);
}
