/**
 * The part of an axis that is shown, changed by pinch, drag, wheel, keys or buttons. One finger scrolls
 * the page as long as everything is shown, and moves the plot once it is enlarged.
 */

/** Nothing is enlarged more than this. */
const MOST = 20;
const STEP = 1.6;

export class Zoom {
  /** @type {[number, number]} */
  #whole = [0, 1];
  /** @type {[number, number] | null} */
  #part = null;
  #element;
  #changed;
  /** Pointers that are down, by id, at their x in pixels. @type {Map<number, number>} */
  #down = new Map();

  /**
   * @param {HTMLElement} element what is touched
   * @param {() => void} changed
   */
  constructor(element, changed) {
    this.#element = element;
    this.#changed = changed;
    element.addEventListener("pointerdown", (event) => this.#press(event));
    element.addEventListener("pointermove", (event) => this.#move(event));
    for (const kind of ["pointerup", "pointercancel"]) {
      element.addEventListener(kind, (event) => this.#down.delete(/** @type {PointerEvent} */ (event).pointerId));
    }
    element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    element.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {[number, number]} whole the axis where nothing is enlarged */
  set whole(whole) {
    if (whole[0] !== this.#whole[0] || whole[1] !== this.#whole[1]) {
      this.#whole = whole;
      this.#part = null;
    }
  }

  /** From and to on the axis. */
  get shown() {
    return this.#part ?? this.#whole;
  }

  /** Whether a part of the axis is shown, and not all of it. */
  get enlarged() {
    return this.#part !== null;
  }

  /**
   * @param {number} factor above 1 enlarges
   * @param {number} [at] share of the width that stays where it is
   */
  by(factor, at = 0.5) {
    const [from, to] = this.shown;
    const size = (to - from) / factor;
    const left = from + at * (to - from - size);
    this.#show(left, left + size);
  }

  all() {
    this.#part = null;
    this.#element.classList.remove("is-enlarged");
    this.#changed();
  }

  in() {
    this.by(STEP);
  }

  out() {
    this.by(1 / STEP);
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  #show(from, to) {
    const [first, last] = this.#whole;
    const size = Math.max((last - first) / MOST, to - from);
    if (size >= last - first) {
      this.all();
      return;
    }
    const left = Math.max(first, Math.min(last - size, from));
    this.#part = [left, left + size];
    this.#element.classList.add("is-enlarged");
    this.#changed();
  }

  /** @param {number} share of the width */
  #pan(share) {
    const [from, to] = this.shown;
    if (this.enlarged) {
      this.#show(from + share * (to - from), to + share * (to - from));
    }
  }

  /** @param {PointerEvent} event */
  #press(event) {
    this.#down.set(event.pointerId, event.clientX);
    if (this.#down.size > 1 || this.enlarged) {
      this.#element.setPointerCapture(event.pointerId);
    }
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#down.get(event.pointerId);
    if (before === undefined) {
      return;
    }
    const box = this.#element.getBoundingClientRect();
    const others = [...this.#down].filter(([id]) => id !== event.pointerId).map(([, x]) => x);
    this.#down.set(event.pointerId, event.clientX);
    if (others.length === 0) {
      this.#pan((before - event.clientX) / box.width);
      return;
    }
    const [other] = others;
    const [was, is] = [Math.abs(before - other), Math.abs(event.clientX - other)];
    if (was > 10 && is > 10) {
      this.by(is / was, ((event.clientX + other) / 2 - box.left) / box.width);
    }
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (event.ctrlKey || this.enlarged) {
      event.preventDefault();
      const box = this.#element.getBoundingClientRect();
      this.by(Math.exp(-event.deltaY / 300), (event.clientX - box.left) / box.width);
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const act = {
      "+": () => this.in(),
      "-": () => this.out(),
      0: () => this.all(),
      ArrowLeft: () => this.#pan(-0.2),
      ArrowRight: () => this.#pan(0.2),
    }[event.key];
    if (act !== undefined) {
      event.preventDefault();
      act();
    }
  }
}
