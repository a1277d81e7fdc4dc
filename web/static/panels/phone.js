/** What this phone shows in which unit, and how it stays awake. */

import { canStayAwake, isAwake } from "../awake.js";
import { el, section, setText } from "../dom.js";
import { choose, QUANTITIES, unitOf } from "../units.js";

const AWAKE = "The screen stays on while this page is seen.";
const REFUSED = "The phone does not let the screen stay on now, as when its battery is low. Charge it.";
const ASLEEP =
  "On plain http a browser lets no page keep the screen on. Set it on the phone: on Android under Display, " +
  "Screen timeout; on an iPhone under Display & Brightness, Auto-Lock, Never. Charge it meanwhile.";
const HOME = "To have it among your apps: in the browser's menu, “Add to Home screen”.";

export function build() {
  const choices = Object.entries(QUANTITIES).map(([quantity, { title, choices: units }]) =>
    el(
      "fieldset",
      {},
      el("legend", {}, title),
      el("div.choices", {}, ...Object.entries(units).map(([unit, words]) => radio(quantity, unit, words))),
    ),
  );
  const awake = el("p.words");
  const root = section("phone", "This phone", ...choices, el("h3", {}, "In the holder"), awake, el("p.soft", {}, HOME));
  return { root, awake };
}

/** @param {ReturnType<typeof build>} view */
export function render(view) {
  setText(view.awake, canStayAwake() ? (isAwake() ? AWAKE : REFUSED) : ASLEEP);
}

/**
 * @param {string} quantity
 * @param {string} unit
 * @param {string} words
 */
function radio(quantity, unit, words) {
  const input = /** @type {HTMLInputElement} */ (el("input", { type: "radio", name: quantity, value: unit }));
  input.checked = unitOf(quantity) === unit;
  input.addEventListener("change", () => choose(quantity, unit));
  return el("label.choice", {}, input, el("span", {}, words));
}
