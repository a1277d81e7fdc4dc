/** The view that is open: chosen by the fragment of the address, so that the phone's back button works. */

import { button, el, section, setText, svg } from "./dom.js";
import { VIEWS } from "./views.js";

/** From here on a window has room for two columns. */
const WIDE = "(min-width: 1100px)";

export class Router {
  #board;
  #nav;
  #main;
  #changed;
  #wide = matchMedia(WIDE);
  /** @type {Map<import("./views.js").Panel, {root: HTMLElement}>} */
  #built = new Map();
  /** @type {import("./views.js").Panel[]} */
  #shown = [];
  #view = VIEWS[0];
  #title = "";
  /** Counts openings, so that a view that comes late does not replace a newer one. */
  #turn = 0;

  /**
   * @param {import("./board.js").Board} board
   * @param {HTMLElement} nav
   * @param {HTMLElement} main
   * @param {() => void} changed called when another view is open
   */
  constructor(board, nav, main, changed) {
    this.#board = board;
    this.#nav = nav;
    this.#main = main;
    this.#changed = changed;
    nav.append(...VIEWS.map(tab));
    this.#wide.addEventListener("change", () => void this.#open(false));
    window.addEventListener("hashchange", () => void this.#open(true));
    void this.#open(false);
  }

  /** Id of the open view. */
  get current() {
    return this.#view.id;
  }

  /** @param {string} program name of the program, as it stands in the title */
  set title(program) {
    if (program !== this.#title) {
      this.#title = program;
      this.#showTitle();
    }
  }

  /** Draws the panels of the open view; the others cost nothing. */
  render() {
    for (const panel of this.#shown) {
      panel.render(this.#built.get(panel), this.#board);
    }
  }

  /** Fetches what the other views need, so that they are there at once and without the daemon. */
  preload() {
    for (const view of VIEWS) {
      view.load(this.#wide.matches).catch(() => {}); // it is fetched again when it is opened
    }
  }

  /** @param {boolean} byHand whether a person went there, so that focus and scroll go along */
  async #open(byHand) {
    const [id, detail] = location.hash.slice(1).split("/");
    const moved = byHand && this.#view.id !== id;
    this.#view = VIEWS.find((view) => view.id === id) ?? VIEWS[0];
    this.#board.chosen = /^\d{1,5}$/.test(detail ?? "") ? Number(detail) : null;
    for (const link of this.#nav.children) {
      const here = link.getAttribute("href") === `#${this.#view.id}`;
      here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    }
    this.#showTitle();
    this.#turn += 1;
    const turn = this.#turn;
    const columns = await this.#view.load(this.#wide.matches).catch(() => null);
    if (turn === this.#turn) {
      this.#show(columns, moved);
    }
  }

  /**
   * @param {import("./views.js").Panel[][] | null} columns null where they did not come
   * @param {boolean} moved
   */
  #show(columns, moved) {
    this.#shown = columns?.flat() ?? [];
    this.#main.replaceChildren(
      ...(columns?.map((panels) => el("div.column", {}, ...panels.map((panel) => this.#panel(panel).root))) ?? [missing()]),
    );
    this.#main.dataset.view = this.#view.id;
    this.#main.dataset.columns = String(columns?.length ?? 1);
    this.#main.toggleAttribute("data-detail", this.#board.chosen !== null);
    if (moved) {
      this.#main.focus({ preventScroll: true });
      window.scrollTo(0, 0);
    }
    this.#changed();
  }

  /** @param {import("./views.js").Panel} panel */
  #panel(panel) {
    let view = this.#built.get(panel);
    if (view === undefined) {
      view = panel.build(this.#board);
      this.#built.set(panel, view);
    }
    return view;
  }

  #showTitle() {
    document.title = this.#view === VIEWS[0] ? this.#title : `${this.#view.title} · ${this.#title}`;
    this.#main.setAttribute("aria-label", this.#view.title);
  }
}

/** @param {import("./views.js").View} view */
function tab({ id, title, icon }) {
  const drawing = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: icon }));
  const words = el("span");
  setText(words, title);
  return el("a", { href: `#${id}` }, drawing, words);
}

/** In place of a view that could not be fetched. */
function missing() {
  const words = "This view did not come: the daemon did not answer.";
  return section("missing", "Not here yet", el("p", {}, words), el("div.actions", {}, button("Load again", () => location.reload())));
}
