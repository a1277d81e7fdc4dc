/** The newest sample: what the ECU says now, and what became of it. */

import { el, section, setText } from "../dom.js";
import { fixed, signed, UNKNOWN } from "../format.js";

/** The sum of both trims is what the estimator works with. */
const TOTAL = "trim_pct";

/** @type {[string, string, string, (value: number | null | undefined) => string][]} */
const TILES = [
  ["maf_v", "MAF voltage", "V", (value) => fixed(value, 2)],
  ["maf_gs", "Air flow", "g/s", (value) => fixed(value, 1)],
  [TOTAL, "Total trim", "%", (value) => signed(value, 1)],
  ["stft_pct", "Short-term trim", "%", (value) => signed(value, 1)],
  ["ltft_pct", "Long-term trim", "%", (value) => signed(value, 1)],
  ["rpm", "Engine speed", "rpm", (value) => fixed(value, 0)],
  ["ect_c", "Coolant", "°C", (value) => fixed(value, 0)],
  ["iat_c", "Intake air", "°C", (value) => fixed(value, 0)],
];

function build() {
  const glyph = el("span.glyph", { "aria-hidden": "true" });
  const words = el("span");
  const verdict = el("p.verdict", {}, glyph, words);
  /** @type {Map<string, HTMLElement>} */
  const numbers = new Map();
  const tiles = el("dl.tiles");
  for (const [name, title, unit] of TILES) {
    const number = el("b");
    numbers.set(name, number);
    tiles.append(
      el("div", { "data-channel": name }, el("dt", {}, title), el("dd", {}, number, el("small", {}, ` ${unit}`))),
    );
  }
  const root = section("glance", "live", "Now", tiles, verdict);
  return { root, title: /** @type {HTMLElement} */ (root.firstElementChild), verdict, glyph, words, numbers };
}

/** @param {import("../board.js").Board} board */
export function render(board) {
  const view = board.view("live", build);
  const live = board.live;
  const values = live?.values ?? {};
  const { stft_pct: short, ltft_pct: long } = values;
  const total = short != null && long != null ? short + long : null;
  for (const [name, , , words] of TILES) {
    const number = view.numbers.get(name);
    if (number !== undefined) {
      setText(number, words(name === TOTAL ? total : values[name]));
    }
  }
  const old = live !== null && live.t_s !== null && !board.fresh;
  view.root.classList.toggle("is-old", old);
  setText(view.title, old ? "Last values, not of now" : "Now");
  const counted = live?.verdict === "accepted";
  view.verdict.dataset.counted = live?.verdict && !old ? String(counted) : "unknown";
  setText(view.glyph, counted ? "✓" : "✕");
  setText(view.words, old ? "No new samples." : verdict(live));
}

/** @param {import("../board.js").Live | null} live */
function verdict(live) {
  if (!live?.verdict) {
    return `This sample: ${UNKNOWN}`;
  }
  const words = live.verdict === "accepted" ? live.verdict_words : `not counted: ${live.verdict_words}`;
  return `This sample: ${words}${live.provisional ? " (so far)" : ""}`;
}
