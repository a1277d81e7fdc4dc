/** The limits that samples must keep, as they are configured. */

import { get } from "../api.js";
import { el, section, setText } from "../dom.js";

export function build() {
  const list = el("dl.facts");
  const words = el("p.words");
  const root = section(
    "limits",
    "Filters",
    words,
    list,
    el("p.soft", {}, "They are set under [filters] in the configuration. ", el("a", { href: "#why" }, "What if one were another?")),
  );
  return { root, list, words, asked: false };
}

/** @param {ReturnType<typeof build>} view */
export function render(view) {
  if (!view.asked) {
    view.asked = true;
    void fetchLimits(view);
  }
}

/** @param {ReturnType<typeof build>} view */
async function fetchLimits(view) {
  const answer = await get("/api/v1/settings");
  if (!answer.ok) {
    view.asked = answer.status !== 0;
    setText(view.words, answer.message);
    return;
  }
  setText(view.words, "");
  view.list.replaceChildren(
    ...answer.body.filters.map((/** @type {any} */ { name, value, unit, meaning }) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, el("b", {}, valueWords(value, unit)), ` ${meaning}`)),
    ),
  );
}

/**
 * @param {number | boolean | null} value
 * @param {string | null} unit
 */
function valueWords(value, unit) {
  if (value === null) {
    return "off.";
  }
  return typeof value === "boolean" ? (value ? "yes." : "no.") : `${value}\u00a0${unit}.`;
}
