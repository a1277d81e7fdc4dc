/** The newest sample: what the ECU says now, in which cell, and what became of it. */

import { el, section, setText } from "../dom.js";
import { fixed, signed, UNKNOWN } from "../format.js";
import { flowNumber, mixtureNumber, temperatureNumber, unitName } from "../units.js";

/** The sum of both trims is what the estimator works with. */
const TOTAL = "trim_pct";

/** @type {[string, string, () => string, (value: number | null | undefined) => string][]} */
const TILES = [
  ["maf_v", "MAF voltage", () => "V", (value) => fixed(value, 2)],
  ["maf_gs", "Air flow", () => unitName("flow"), (value) => flowNumber(value, 1)],
  [TOTAL, "Total trim", () => "%", (value) => signed(value, 1)],
  ["rpm", "Engine speed", () => "rpm", (value) => fixed(value, 0)],
  ["stft_pct", "Short-term trim", () => "%", (value) => signed(value, 1)],
  ["ltft_pct", "Long-term trim", () => "%", (value) => signed(value, 1)],
  ["ect_c", "Coolant", () => unitName("temperature"), temperatureNumber],
  ["iat_c", "Intake air", () => unitName("temperature"), temperatureNumber],
  ["lambda_", "Measured mixture", () => unitName("mixture"), mixtureNumber],
];

/** So many of them are read while driving; what became of the sample stands below them. */
const AT_A_GLANCE = 4;

/** Only cars with a wideband controller have these. */
const RARE = ["lambda_"];

export function build() {
  const glyph = el("span.glyph", { "aria-hidden": "true" });
  const words = el("span");
  const verdict = el("p.verdict", {}, glyph, words);
  const cell = el("p.cell");
  /** @type {Map<string, {root: HTMLElement, number: HTMLElement, unit: HTMLElement}>} */
  const tiles = new Map();
  for (const [name, title] of TILES) {
    const number = el("b");
    const unit = el("small");
    const root = el("div", { "data-channel": name }, el("dt", {}, title), el("dd", {}, number, " ", unit));
    tiles.set(name, { root, number, unit });
  }
  const all = [...tiles.values()].map((tile) => tile.root);
  const first = el("dl.tiles", {}, ...all.slice(0, AT_A_GLANCE));
  const root = section("live", "Now", first, verdict, cell, el("dl.tiles.more", {}, ...all.slice(AT_A_GLANCE)));
  return { root, title: /** @type {HTMLElement} */ (root.firstElementChild), verdict, glyph, words, cell, tiles };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const live = board.live;
  const values = live?.values ?? {};
  const { stft_pct: short, ltft_pct: long } = values;
  const total = short != null && long != null ? short + long : null;
  for (const [name, , unit, words] of TILES) {
    const tile = view.tiles.get(name);
    if (tile !== undefined) {
      setText(tile.number, words(name === TOTAL ? total : values[name]));
      setText(tile.unit, unit());
      tile.root.hidden = RARE.includes(name) && values[name] == null;
    }
  }
  const old = live !== null && live.t_s !== null && !board.fresh;
  view.root.classList.toggle("is-old", old);
  setText(view.title, old ? "Last values, not of now" : "Now");
  const counted = live?.verdict === "accepted";
  view.verdict.dataset.counted = live?.verdict && !old ? String(counted) : "unknown";
  setText(view.glyph, counted ? "✓" : "✕");
  setText(view.words, old ? "No new samples." : verdict(live));
  setText(view.cell, old ? "" : cellWords(board));
}

/** @param {import("../board.js").Live | null} live */
function verdict(live) {
  if (!live?.verdict) {
    return `This sample: ${UNKNOWN}`;
  }
  const words = live.verdict === "accepted" ? live.verdict_words : `not counted: ${live.verdict_words}`;
  return `This sample: ${words}${live.provisional ? " (so far)" : ""}`;
}

/** @param {import("../board.js").Board} board */
function cellWords({ live, table }) {
  const cell = table?.cells[live?.cell ?? -1];
  if (cell === undefined) {
    return "";
  }
  const correction = cell.correction_pct === null ? "" : `, ${signed(cell.correction_pct, 1)}\u00a0%`;
  return `Cell now: ${fixed(cell.maf_v, 2)}\u00a0V, ${cell.state}${correction}`;
}
