/** Where samples come from: the link with what became of it, and the table and estimator in use. */

import { el, section } from "../dom.js";
import { duration, fixed, UNKNOWN } from "../format.js";

export function build() {
  const facts = el("dl.facts");
  const history = el("ul.history");
  const root = section("source", "Source", facts, el("details", {}, el("summary", {}, "What the link went through"), history));
  return { root, facts, history, shown: "", passed: "" };
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const { status, table } = board;
  if (status === null) {
    return;
  }
  const link = status.link;
  const facts = [
    ["Driver", link.driver],
    ["Link", linkWords(link)],
    ...(status.second_link === null ? [] : [["Second source", `${status.second_link.driver}, ${linkWords(status.second_link)}`]]),
    ["Samples", status.sample_rate_hz === null ? UNKNOWN : `${fixed(status.sample_rate_hz, 1)} per second`],
    ["Reconnects", String(link.reconnects)],
    ["Drive", status.session === null ? "none goes on" : `number ${status.session}`],
    ["MAF table", table === null ? UNKNOWN : `${table.maf_table.name}, revision ${table.maf_table.revision}`],
    ["Estimator", table === null ? UNKNOWN : `${table.estimator}, epoch ${table.epoch}`],
  ];
  const shown = JSON.stringify(facts);
  if (shown !== view.shown) {
    view.shown = shown;
    view.facts.replaceChildren(...facts.map(([name, words]) => el("div", {}, el("dt", {}, name), el("dd", {}, words))));
  }
  const events = [...(link.history ?? [])].reverse();
  const passed = events.map((event) => `${event.words} ${Math.floor(event.age_s / 5)}`).join("\n");
  if (passed !== view.passed) {
    view.passed = passed;
    view.history.replaceChildren(
      ...events.map((event) => el("li", {}, el("b", {}, event.state), el("span", {}, `${event.words} · ${duration(event.age_s)} ago`))),
    );
  }
}

/**
 * A link's state and what it says, which may begin with the same word.
 * @param {{state: string, words: string}} link
 */
function linkWords({ state, words }) {
  return words.startsWith(state) ? words : `${state}: ${words}`;
}
