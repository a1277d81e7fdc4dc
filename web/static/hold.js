/** A button that acts only when it is held: nothing of weight happens by a touch in a moving car. */

import { el, setText } from "./dom.js";

/** The page says so when the car begins to move: nothing that is held then goes on. */
export const MOVING = "lowmaf:moving";

/** As long as the fill in parts.css takes. */
export const HOLD_MS = 1000;

const KEYS = ["Enter", " "];

/**
 * @param {string} words
 * @param {() => void} act called once, when the button was held long enough
 * @param {() => void} letGo called when it was let go too early
 */
export function holdButton(words, act, letGo) {
  const label = el("span", {}, words);
  const button = /** @type {HTMLButtonElement} */ (el("button.hold", { type: "button" }, label));
  let timer = 0;

  function begin() {
    if (timer === 0 && !button.disabled) {
      button.classList.add("is-held");
      timer = window.setTimeout(() => {
        end();
        act();
      }, HOLD_MS);
    }
  }

  function end() {
    window.clearTimeout(timer);
    timer = 0;
    button.classList.remove("is-held");
  }

  function abandon() {
    if (timer !== 0) {
      end();
      letGo();
    }
  }

  button.addEventListener("pointerdown", (event) => {
    if (event.button === 0) {
      begin();
    }
  });
  for (const kind of ["pointerup", "pointerleave", "pointercancel", "blur"]) {
    button.addEventListener(kind, abandon);
  }
  button.addEventListener("keydown", (event) => {
    if (KEYS.includes(event.key)) {
      event.preventDefault();
      if (!event.repeat) {
        begin();
      }
    }
  });
  button.addEventListener("keyup", (event) => {
    if (KEYS.includes(event.key)) {
      abandon();
    }
  });
  document.addEventListener(MOVING, abandon);
  // A long touch would open the menu of the browser, which ends the touch
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  return { button, abandon, name: (/** @type {string} */ text) => setText(label, text) };
}
