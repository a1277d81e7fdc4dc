// Sets the theme before the first paint: the phone's own, or the one chosen. A classic script in
// the head, because a module would run only after the page has been drawn in the wrong colours.
"use strict";

(() => {
  const KEY = "lowmaf.theme";
  /** @type {Record<string, string>} */
  const WORDS = { auto: "Auto", light: "Light", dark: "Dark", sun: "Sun" };
  const CHOICES = Object.keys(WORDS);
  const dark = matchMedia("(prefers-color-scheme: dark)");

  function kept() {
    try {
      const choice = localStorage.getItem(KEY) ?? "";
      return CHOICES.includes(choice) ? choice : "auto";
    } catch {
      return "auto"; // storage is switched off in this browser
    }
  }

  /** @param {string} choice */
  function keep(choice) {
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // storage is switched off in this browser: the choice lasts as long as the page
    }
  }

  let choice = kept();

  function show() {
    document.documentElement.dataset.theme = choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
    const button = document.getElementById("theme");
    if (button !== null) {
      button.textContent = WORDS[choice];
      button.setAttribute("aria-label", `Theme: ${WORDS[choice]}`);
    }
  }

  show();
  dark.addEventListener("change", show);
  document.addEventListener("DOMContentLoaded", () => {
    show();
    document.getElementById("theme")?.addEventListener("click", () => {
      choice = CHOICES[(CHOICES.indexOf(choice) + 1) % CHOICES.length];
      keep(choice);
      show();
    });
  });
})();
