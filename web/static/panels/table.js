/** The MAF table, cell by cell, with the cell that is being hit; each leads to its details. */

import { el, explained, section, setText } from "../dom.js";
import { count, fixed, signed, UNKNOWN } from "../format.js";
import { flow, unitsKey } from "../units.js";

/** A glyph beside each word, so that a state never hangs on its colour. */
export const GLYPHS = { measured: "●", weak: "◐", interpolated: "┄", empty: "○", locked: "■" };

/** Bars are drawn to the largest correction, but never as if less than this were large, %. */
const LEAST_FULL_BAR_PCT = 5;

/** Standard error at which a correction is drawn fully certain, and not at all, %. */
const CERTAIN_PCT = 0.3;
const UNCERTAIN_PCT = 4;

/** [class, heading, longer heading] of each column, in reading order. */
const COLUMNS = [
  ["volts", "MAF", "MAF voltage"],
  ["correction", "Correction", "Correction with its 95 % interval"],
  ["bar-cell", "", ""],
  ["state", "State", "How far the cell is known"],
  ["flow", "Flow now", "Flow in the table now"],
  ["proposed", "Proposed", "Flow to flash, and its change"],
  ["hits", "Hits", "Counted samples and independent evidence"],
];

export function build() {
  const body = el("tbody", { role: "rowgroup" });
  const head = el(
    "tr",
    { role: "row" },
    ...COLUMNS.filter(([, title]) => title !== "").map(([name, title, long]) =>
      el(`th.${name}`, { role: "columnheader", scope: "col", title: long }, title),
    ),
  );
  head.children[2].before(el("td.bar-cell", { "aria-hidden": "true" }));
  const table = el(
    "table",
    { role: "table", "aria-labelledby": "table-title" },
    el("thead", { role: "rowgroup" }, head),
    body,
  );
  const scroller = el("div.scroller", { tabindex: "0", role: "region", "aria-labelledby": "table-title" }, table);
  const follow = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox", id: "follow" }));
  follow.checked = true;
  const empty = el("p.words", {}, "No table yet.");
  const root = section(
    "table",
    "MAF table",
    el("label.follow", { for: "follow" }, follow, " Follow the current cell"),
    empty,
    scroller,
    explained(
      "What do the columns mean?",
      "Correction: what the cell's flow should change by, ± half of its 95 % interval. The bar shows its size; " +
        "the fainter, the less certain.",
      "Hits: counted samples nearest to the cell. In brackets the effective hits (eff.): how many of them are " +
        "independent, since trims stay alike for seconds.",
      "● measured: known well enough to be flashed. ◐ weak: some evidence, but too little. " +
        "┄ interpolated: filled from its neighbours. ○ empty: nothing known. ■ locked: by you. " +
        "Only measured cells move.",
      "Tap a cell for its history, its samples, and to lock it.",
    ),
  );
  return {
    root,
    scroller,
    body,
    follow,
    empty,
    rows: /** @type {ReturnType<typeof buildRow>[]} */ ([]),
    drawn: "",
    cell: -1,
    trail: "",
    chosen: /** @type {number | null} */ (null),
  };
}

/** @param {number} at */
function buildRow(at) {
  const volts = el("a", { href: `#table/${at}` });
  const value = el("b");
  const interval = el("span.interval");
  const bar = el("i.value");
  const whisker = el("i.whisker");
  const glyph = el("span.glyph", { "aria-hidden": "true" });
  const state = el("span");
  const now = el("td.flow", { role: "cell" });
  const proposed = el("span");
  const change = el("span.change");
  const hits = el("b");
  const effective = el("span.effective");
  const root = el(
    "tr",
    { role: "row" },
    el("th.volts", { role: "rowheader", scope: "row" }, volts),
    el("td.correction", { role: "cell" }, value, " ", interval),
    el("td.bar-cell", { "aria-hidden": "true" }, el("span.bar-track", {}, whisker, bar)),
    el("td.state", { role: "cell" }, glyph, state),
    now,
    el("td.proposed", { role: "cell" }, proposed, change),
    el("td.hits", { role: "cell" }, hits, " ", effective),
  );
  return { root, volts, value, interval, bar, whisker, glyph, state, flow: now, proposed, change, hits, effective };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const table = board.table;
  view.empty.hidden = table !== null;
  view.scroller.hidden = table === null;
  if (table === null) {
    return;
  }
  if (view.rows.length !== table.cells.length) {
    view.rows = table.cells.map((_, at) => buildRow(at));
    view.body.replaceChildren(...view.rows.map((row) => row.root));
    view.drawn = "";
  }
  const drawn = `${table.revision} ${unitsKey()}`;
  if (view.drawn !== drawn) {
    view.drawn = drawn;
    const full = Math.max(LEAST_FULL_BAR_PCT, ...table.cells.map((cell) => Math.abs(cell.correction_pct ?? 0)));
    table.cells.forEach((cell, at) => fill(view.rows[at], cell, full));
  }
  mark(view, board.fresh ? (board.live?.cell ?? -1) : -1);
  markTrail(view, board.fresh ? board.trail : []);
  markChosen(view, board.chosen);
}

/**
 * @param {ReturnType<typeof buildRow>} row
 * @param {import("../board.js").Cell} cell
 * @param {number} full correction that fills a bar, %
 */
function fill(row, cell, full) {
  row.root.dataset.state = cell.state;
  row.root.dataset.sign = Math.sign(cell.correction_pct ?? 0) < 0 ? "minus" : "plus";
  setText(row.volts, `${fixed(cell.maf_v, 2)} V`);
  setText(row.value, cell.correction_pct === null ? UNKNOWN : `${signed(cell.correction_pct, 1)} %`);
  setText(row.interval, cell.stderr_pct === null ? "" : `± ${fixed(halfWidth(cell), 1)}`);
  setText(row.glyph, GLYPHS[cell.state]);
  setText(row.state, cell.state);
  setText(row.flow, flow(cell.flow_gs, 2));
  const moves = cell.proposed_gs !== null && cell.proposed_gs !== cell.flow_gs;
  setText(row.proposed, cell.proposed_gs === null ? UNKNOWN : moves ? flow(cell.proposed_gs, 2) : "stays");
  setText(row.change, moves ? change(cell) : "");
  setText(row.hits, count(cell.hits));
  setText(row.effective, cell.effective_hits === null ? "" : `(${fixed(cell.effective_hits, cell.effective_hits < 10 ? 1 : 0)} eff.)`);
  span(row.bar, cell.correction_pct === null ? null : [0, cell.correction_pct], full);
  span(row.whisker, cell.ci95_pct, full);
  row.bar.style.opacity = String(certainty(cell));
}

/**
 * How certain a correction is, from 0.25 to 1; certain where the estimator cannot say.
 * @param {import("../board.js").Cell} cell
 */
function certainty({ stderr_pct: stderr }) {
  if (stderr === null) {
    return 1;
  }
  const doubt = (stderr - CERTAIN_PCT) / (UNCERTAIN_PCT - CERTAIN_PCT);
  return 1 - 0.75 * Math.max(0, Math.min(1, doubt));
}

/** @param {import("../board.js").Cell} cell */
function change({ flow_gs: now, proposed_gs: then }) {
  return now ? ` (${signed((100 * (/** @type {number} */ (then) - now)) / now, 1)}\u00a0%)` : "";
}

/** @param {import("../board.js").Cell} cell */
function halfWidth(cell) {
  return cell.ci95_pct === null ? null : (cell.ci95_pct[1] - cell.ci95_pct[0]) / 2;
}

/**
 * Draws an interval as a bar on a track whose middle is zero.
 * @param {HTMLElement} bar
 * @param {[number, number] | null} interval
 * @param {number} full
 */
function span(bar, interval, full) {
  bar.hidden = interval === null;
  if (interval !== null) {
    const [left, right] = interval
      .map((value) => 50 + (50 * Math.max(-full, Math.min(full, value))) / full)
      .sort((one, other) => one - other);
    bar.style.left = `${left}%`;
    bar.style.width = `${right - left}%`;
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {number} cell index, −1 without one
 */
function mark(view, cell) {
  if (cell === view.cell) {
    return;
  }
  view.rows[view.cell]?.root.removeAttribute("aria-current");
  view.cell = cell;
  const row = view.rows[cell]?.root;
  row?.setAttribute("aria-current", "true");
  if (row !== undefined && view.follow.checked) {
    const { scroller } = view;
    const top = row.offsetTop - scroller.scrollTop;
    if (top < 0.2 * scroller.clientHeight || top > 0.7 * scroller.clientHeight) {
      scroller.scrollTop = row.offsetTop - scroller.clientHeight / 2;
    }
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {number[]} trail cells that were hit just before, the newest first
 */
function markTrail(view, trail) {
  const wanted = trail.join(" ");
  if (wanted === view.trail) {
    return;
  }
  for (const before of view.trail.split(" ").filter(Boolean)) {
    delete view.rows[Number(before)]?.root.dataset.trail;
  }
  view.trail = wanted;
  trail.forEach((cell, age) => {
    if (view.rows[cell] !== undefined) {
      view.rows[cell].root.dataset.trail = String(age + 1);
    }
  });
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {number | null} chosen
 */
function markChosen(view, chosen) {
  if (chosen !== view.chosen) {
    view.rows[view.chosen ?? -1]?.root.classList.remove("is-chosen");
    view.rows[chosen ?? -1]?.root.classList.add("is-chosen");
    view.chosen = chosen;
  }
}
