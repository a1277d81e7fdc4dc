// Sets the chosen theme before the first paint. A classic script in the head, because a module
// would run only after the page has been drawn once in the wrong colours.
"use strict";

(() => {
  const KEY = "lowmaf.theme";
  const THEMES = ["auto", "light", "dark", "sun"];
  const WORDS = { auto: "Auto", light: "Light", dark: "Dark", sun: "Sun" };

  function kept() {
    try {
      const theme = localStorage.getItem(KEY);
      return THEMES.includes(theme) ? theme : "auto";
    } catch {
      return "auto"; // storage is switched off in this browser
    }
  }

  function keep(theme) {
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // storage is switched off in this browser: the choice lasts as long as the page
    }
  }

  let theme = kept();
  document.documentElement.dataset.theme = theme;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => {
      document.documentElement.dataset.theme = theme;
      button.textContent = `Theme: ${WORDS[theme]}`;
    };
    button.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
      keep(theme);
      show();
    });
    show();
  });
})();
