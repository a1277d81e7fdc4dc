/** Scales, ticks and paths for a plot in SVG. */

/**
 * @typedef {(value: number) => number} Scale
 * @typedef {[number, number]} Point
 */

/**
 * A linear scale.
 * @param {[number, number]} domain
 * @param {[number, number]} pixels
 * @returns {Scale}
 */
export function scale([low, high], [from, to]) {
  const factor = (to - from) / (high - low);
  return (value) => from + (value - low) * factor;
}

/**
 * Round values in a range, at most `most` of them.
 * @param {number} low
 * @param {number} high
 * @param {number} most
 */
export function ticks(low, high, most) {
  const raw = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw) ?? raw;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => (first + at) * step);
}

/**
 * @param {Point[]} points
 * @returns {string} path data, empty for fewer than two points
 */
export function line(points) {
  return points.length < 2
    ? ""
    : points.map(([x, y], at) => `${at === 0 ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/**
 * The area between two lines over the same x.
 * @param {Point[]} upper
 * @param {Point[]} lower
 */
export function area(upper, lower) {
  return upper.length < 2 ? "" : `${line([...upper, ...lower.slice().reverse()])}Z`;
}

/**
 * Stretches of consecutive items that pass a test.
 * @template Item
 * @param {Item[]} items
 * @param {(item: Item, at: number) => boolean} passes
 * @returns {Item[][]}
 */
export function stretches(items, passes) {
  /** @type {Item[][]} */
  const found = [];
  let open = false;
  items.forEach((item, at) => {
    const inside = passes(item, at);
    if (inside && !open) {
      found.push([]);
    }
    if (inside) {
      found[found.length - 1].push(item);
    }
    open = inside;
  });
  return found;
}
