/** Is it working? The link to the car in one word, one sentence, and the reason when nothing counts. */

import { el, section, setText } from "../dom.js";
import { duration, fixed, share } from "../format.js";
import { inUnits } from "../units.js";

/** Shorter pauses between accepted samples are ordinary driving. */
const QUIET_S = 10;

const GLYPHS = { good: "●", wait: "◆", bad: "▲" };

const STATES = {
  connecting: ["wait", "Connecting"],
  waiting: ["wait", "Waiting"],
  paused: ["wait", "Paused"],
  ended: ["wait", "Ended"],
};

export function build() {
  const glyph = el("span.glyph", { "aria-hidden": "true" });
  const word = el("span.word");
  const words = el("p.words");
  const why = el("p.why");
  const figures = el("p.figures");
  const paused = el(
    "p.paused",
    {},
    "Nothing is sent. Once the cable is unplugged it is safe to flash. ",
    el("a", { href: "#flash" }, "Resume is under Flash."),
  );
  const root = section(
    "link",
    "Link to the car",
    el("div", { "aria-live": "polite" }, el("p.state", {}, glyph, word), words),
    why,
    figures,
    paused,
  );
  return { root, glyph, word, words, why, figures, paused };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const [tone, word] = headline(board);
  view.root.dataset.tone = tone;
  setText(view.glyph, GLYPHS[tone]);
  setText(view.word, word);
  setText(view.words, sentence(board));
  const why = reason(board);
  view.why.hidden = why === "";
  setText(view.why, why);
  setText(view.figures, figures(board));
  view.paused.hidden = board.stale || board.link?.state !== "paused";
}

/**
 * Tone and the one word that says how it goes.
 * @param {import("../board.js").Board} board
 * @returns {["good" | "wait" | "bad", string]}
 */
export function headline(board) {
  const { status, link } = board;
  if (board.stale) {
    return ["bad", "No data"];
  }
  if (status === null || link === null) {
    return ["wait", "Connecting"];
  }
  if (link.state in STATES) {
    return /** @type {any} */ (STATES[/** @type {keyof typeof STATES} */ (link.state)]);
  }
  if (!status.healthy) {
    return ["bad", "Trouble"];
  }
  return quiet(status) ? ["wait", "Not counting"] : ["good", "Learning"];
}

/** @param {import("../board.js").Board} board */
function sentence(board) {
  if (board.stale) {
    return "This page has lost the daemon and tries to reach it again.";
  }
  const { state = "", words = "Asking the daemon …" } = board.link ?? {};
  return words.startsWith(`${state}: `) ? words.slice(state.length + 2) : words; // the state stands above
}

/** @param {import("../board.js").Status} status */
function quiet(status) {
  return (status.nothing_accepted_s ?? 0) >= QUIET_S;
}

/** @param {import("../board.js").Board} board */
function reason({ status, link }) {
  if (status === null) {
    return "";
  }
  if (!status.healthy) {
    return status.unhealthy_because ?? "";
  }
  if (!quiet(status) || link?.state !== "running") {
    return "";
  }
  const because = status.nothing_accepted_because;
  const silence = `Nothing accepted for ${duration(status.nothing_accepted_s ?? 0)}`;
  return because ? `${silence}: ${inUnits(because)}` : silence;
}

/** @param {import("../board.js").Board} board */
function figures(board) {
  const { status, table } = board;
  if (board.stale) {
    return "What is grey below is of before.";
  }
  const parts = [];
  if (board.fresh && status?.sample_rate_hz != null) {
    parts.push(`${fixed(status.sample_rate_hz, status.sample_rate_hz < 10 ? 1 : 0)} samples/s`);
  }
  if (table !== null && table.samples.seen > 0) {
    const { accepted, seen } = table.samples;
    parts.push(`${share(accepted, seen)} counted`);
  }
  const second = status?.second_link ?? null;
  if (second !== null && second.state !== "running") {
    parts.push(`${second.driver}: ${second.words}`);
  }
  return parts.join(" · ");
}
