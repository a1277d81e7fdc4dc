/** Every cell of the MAF table, with the one that the engine is in now marked and kept in sight. */

import { el, explained, section, setText } from "../dom.js";
import { count, fixed, signed, UNKNOWN } from "../format.js";

/** A glyph beside each word, so that a state never hangs on its colour. */
const GLYPHS = { measured: "●", weak: "◐", interpolated: "┄", empty: "○", locked: "■" };

/** Bars are drawn to the largest correction, but never as if less than this were large, %. */
const LEAST_FULL_BAR_PCT = 5;

/** [class, heading, longer heading] of each column, in reading order. */
const COLUMNS = [
  ["volts", "MAF", "MAF voltage"],
  ["correction", "Correction", "Correction with its 95 % interval"],
  ["bar-cell", "", ""],
  ["state", "State", "How far the cell is known"],
  ["flow", "Flow now", "Flow in the table now"],
  ["proposed", "Proposed", "Flow to flash"],
  ["hits", "Hits", "Counted samples and independent evidence"],
];

function build() {
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
  section(
    "charts",
    "table",
    "MAF table",
    el("label.follow", { for: "follow" }, follow, " Follow the current cell"),
    empty,
    scroller,
    explained(
      "What do the columns mean?",
      "Correction: what the cell's flow should change by, ± half of its 95 % interval.",
      "Hits: counted samples nearest to the cell. In brackets the effective hits (eff.): how many of them are " +
        "independent, since trims stay alike for seconds.",
      "Measured: known well enough to be flashed. Weak: some evidence, but too little. " +
        "Interpolated: filled from its neighbours. Empty: nothing known. Locked: by you. Only measured cells move.",
    ),
  );
  return { scroller, body, follow, empty, rows: /** @type {ReturnType<typeof buildRow>[]} */ ([]), drawn: -1, cell: -1 };
}

function buildRow() {
  const volts = el("th.volts", { role: "rowheader", scope: "row" });
  const value = el("b");
  const interval = el("span.interval");
  const bar = el("i.value");
  const whisker = el("i.whisker");
  const glyph = el("span.glyph", { "aria-hidden": "true" });
  const state = el("span");
  const flow = el("td.flow", { role: "cell" });
  const proposed = el("td.proposed", { role: "cell" });
  const hits = el("b");
  const effective = el("span.effective");
  const root = el(
    "tr",
    { role: "row" },
    volts,
    el("td.correction", { role: "cell" }, value, " ", interval),
    el("td.bar-cell", { "aria-hidden": "true" }, el("span.bar-track", {}, whisker, bar)),
    el("td.state", { role: "cell" }, glyph, state),
    flow,
    proposed,
    el("td.hits", { role: "cell" }, hits, " ", effective),
  );
  return { root, volts, value, interval, bar, whisker, glyph, state, flow, proposed, hits, effective };
}

/** @param {import("../board.js").Board} board */
export function render(board) {
  const view = board.view("table", build);
  const table = board.table;
  view.empty.hidden = table !== null;
  view.scroller.hidden = table === null;
  if (table === null) {
    return;
  }
  if (view.rows.length !== table.cells.length) {
    view.rows = table.cells.map(buildRow);
    view.body.replaceChildren(...view.rows.map((row) => row.root));
    view.drawn = -1;
  }
  if (view.drawn !== table.revision) {
    view.drawn = table.revision;
    const full = Math.max(LEAST_FULL_BAR_PCT, ...table.cells.map((cell) => Math.abs(cell.correction_pct ?? 0)));
    table.cells.forEach((cell, at) => fill(view.rows[at], cell, full));
  }
  mark(view, board.fresh ? (board.live?.cell ?? -1) : -1);
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
  setText(row.flow, cell.flow_gs === null ? UNKNOWN : `${fixed(cell.flow_gs, 2)} g/s`);
  const moves = cell.proposed_gs !== null && cell.proposed_gs !== cell.flow_gs;
  row.proposed.classList.toggle("moves", moves);
  setText(row.proposed, cell.proposed_gs === null ? UNKNOWN : moves ? `${fixed(cell.proposed_gs, 2)} g/s` : "stays");
  setText(row.hits, count(cell.hits));
  setText(row.effective, cell.effective_hits === null ? "" : `(${fixed(cell.effective_hits, cell.effective_hits < 10 ? 1 : 0)} eff.)`);
  span(row.bar, cell.correction_pct === null ? null : [0, cell.correction_pct], full);
  span(row.whisker, cell.ci95_pct, full);
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
