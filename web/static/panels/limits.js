/** The limits that samples must keep: those in use, and what of them was changed on the page. */

import { ask, get } from "../api.js";
import { button, el, section, setText, whenParked } from "../dom.js";
import { isChanged, LIMITS_CHANGED, titleOf, valueWords } from "../limits.js";

/** @typedef {import("../limits.js").Limit} Limit */

const REFRESH_MS = 10_000;

export function build() {
  const words = el("p.words");
  const list = el("dl.facts");
  const outcome = el("p.outcome", { role: "status" });
  const back = button("All back to configuration", () => undo(view, view.changed));
  const undoAll = whenParked(el("div.actions", {}, back));
  const change = el("a.button", { href: "#why" }, "Try and change limits");
  const root = section("limits", "Filters", words, list, el("div.actions", {}, change), undoAll, outcome);
  const view = {
    root, words, list, outcome, undoAll, change,
    changed: /** @type {string[]} */ ([]),
    askedAt: -REFRESH_MS,
    shown: "",
  };
  document.addEventListener(LIMITS_CHANGED, () => {
    view.askedAt = -REFRESH_MS;
  });
  return view;
}

/** @param {ReturnType<typeof build>} view */
export function render(view) {
  const now = performance.now();
  if (now - view.askedAt >= REFRESH_MS) {
    view.askedAt = now;
    void fetchLimits(view);
  }
}

/** @param {ReturnType<typeof build>} view */
async function fetchLimits(view) {
  const answer = await get("/api/v1/settings");
  if (!answer.ok) {
    setText(view.words, answer.message);
    return;
  }
  /** @type {Limit[]} */
  const limits = answer.body.filters;
  view.changed = limits.filter(isChanged).map((limit) => limit.name);
  const { length } = view.changed;
  setText(
    view.words,
    length === 0
      ? "Which samples count. All as the configuration says."
      : `Which samples count. ${length === 1 ? "One is" : `${length} are`} changed here; the configuration file is as it was.`,
  );
  view.undoAll.hidden = length < 2; // one has its own
  const shown = JSON.stringify(limits);
  if (shown !== view.shown) {
    view.shown = shown;
    view.list.replaceChildren(...limits.map((limit) => row(view, limit)));
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {Limit} limit
 */
function row(view, limit) {
  const value = el("b", {}, valueWords(limit.value, limit.unit));
  if (!isChanged(limit)) {
    return el("div", {}, el("dt", {}, titleOf(limit)), el("dd", {}, value));
  }
  const said = ` changed here, configuration says ${valueWords(limit.configured, limit.unit)}`;
  const back = button("Back to configuration", () => undo(view, [limit.name]));
  return el("div.changed", {}, el("dt", {}, titleOf(limit)), el("dd", {}, value, said, el("div.parked", {}, back)));
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {string[]} names
 */
async function undo(view, names) {
  const answer = await ask("PATCH", "/api/v1/settings", { json: { configured: names } });
  setText(view.outcome, answer.ok ? "As the configuration says again, for samples from now on." : answer.message);
  document.dispatchEvent(new CustomEvent(LIMITS_CHANGED));
}
