/** Why samples counted or not, minute by minute of the last hour of driving. */

import { get } from "../api.js";
import { el, section, setText, svg } from "../dom.js";
import { count, share } from "../format.js";

const REFRESH_MS = 5000;
const SIZE = { width: 600, height: 150 };
const BARS = 60;

/** Reasons beyond these are drawn as one. */
const SHOWN_REASONS = 4;

export function build() {
  const bars = svg("g");
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": "Nothing is drawn yet", preserveAspectRatio: "none" },
    bars,
  );
  const legend = el("ul.legend.reasons-legend");
  const words = el("p.words");
  const root = section("minutes", "The last hour of driving, minute by minute", el("div.plot.minutes", {}, picture), legend, words);
  return { root, picture, bars, legend, words, askedAt: -REFRESH_MS, shown: "" };
}

/** @param {ReturnType<typeof build>} view */
export function render(view) {
  const now = performance.now();
  if (now - view.askedAt >= REFRESH_MS) {
    view.askedAt = now;
    void refresh(view);
  }
}

/** @param {ReturnType<typeof build>} view */
async function refresh(view) {
  const answer = await get("/api/v1/verdicts");
  if (!answer.ok) {
    setText(view.words, answer.message);
    return;
  }
  const { minutes, verdicts } = answer.body;
  const shown = JSON.stringify(minutes);
  if (shown !== view.shown) {
    view.shown = shown;
    draw(view, minutes, verdicts);
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {{session: number, minute: number, verdicts: Record<string, number>}[]} minutes
 * @param {{verdict: string, words: string, count: number}[]} verdicts
 */
function draw(view, minutes, verdicts) {
  const total = verdicts.reduce((sum, verdict) => sum + verdict.count, 0);
  const reasons = verdicts
    .filter(({ verdict }) => verdict !== "accepted")
    .sort((one, other) => other.count - one.count)
    .slice(0, SHOWN_REASONS);
  const named = ["accepted", ...reasons.map(({ verdict }) => verdict)];
  const wide = SIZE.width / BARS;
  view.bars.replaceChildren(...minutes.slice(-BARS).flatMap((minute, at) => bar(minute.verdicts, named, at * wide, wide - 1)));
  view.legend.replaceChildren(
    ...[
      { verdict: "accepted", words: "counted", count: verdicts.find(({ verdict }) => verdict === "accepted")?.count ?? 0 },
      ...reasons,
      { verdict: "others", words: "other reasons", count: total - verdicts.filter(({ verdict }) => named.includes(verdict)).reduce((sum, { count: part }) => sum + part, 0) },
    ]
      .filter((entry) => entry.count > 0)
      .map((entry) => {
        const place = named.indexOf(entry.verdict);
        return el("li", { "data-reason": place < 0 ? "others" : String(place) }, el("i", { "aria-hidden": "true" }), `${entry.words} (${share(entry.count, total)})`);
      }),
  );
  setText(
    view.words,
    total === 0
      ? "Nothing was judged since the program started."
      : `${minutes.length} ${minutes.length === 1 ? "minute" : "minutes"} with ${count(total)} samples; the newest is on the right.`,
  );
  view.picture.setAttribute("aria-label", view.words.textContent ?? "");
}

/**
 * One minute as a stack that fills the height: what counted lowest, then the reasons by their weight.
 * @param {Record<string, number>} counts
 * @param {string[]} named
 * @param {number} x
 * @param {number} width
 */
function bar(counts, named, x, width) {
  const whole = Object.values(counts).reduce((sum, part) => sum + part, 0);
  const parts = named.map((name) => counts[name] ?? 0);
  parts.push(whole - parts.reduce((sum, part) => sum + part, 0));
  let top = SIZE.height;
  return parts.flatMap((part, place) => {
    const height = (SIZE.height * part) / Math.max(1, whole);
    top -= height;
    const reason = place < named.length ? String(place) : "others";
    return part > 0 ? [svg("rect", { x, y: top, width, height, "data-reason": reason })] : [];
  });
}
