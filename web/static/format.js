/** Numbers and times in words; an unknown value is a dash, never a zero. */

export const UNKNOWN = "–";

/**
 * @param {number | null | undefined} value
 * @param {number} digits after the point
 */
export function fixed(value, digits) {
  if (value === null || value === undefined) {
    return UNKNOWN;
  }
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/**
 * With its sign, also when positive.
 * @param {number | null | undefined} value
 * @param {number} digits
 */
export function signed(value, digits) {
  const text = fixed(value, digits);
  return text === UNKNOWN || text.startsWith("−") || Number(text) === 0 ? text : `+${text}`;
}

/**
 * A count with thin spaces between thousands.
 * @param {number | null | undefined} value
 */
export function count(value) {
  return value === null || value === undefined ? UNKNOWN : String(value).replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

/**
 * From–to, kept on one line by a word joiner.
 * @param {[number, number]} range
 * @param {number} digits
 */
export function range([low, high], digits) {
  return low.toFixed(digits) === high.toFixed(digits)
    ? fixed(low, digits)
    : `${fixed(low, digits)}–\u2060${fixed(high, digits)}`;
}

/** @param {number} seconds */
export function duration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) {
    return `${whole}\u00a0s`;
  }
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes}\u00a0min ${whole % 60}\u00a0s`
    : `${Math.floor(minutes / 60)}\u00a0h ${minutes % 60}\u00a0min`;
}

/**
 * @param {number} part
 * @param {number} whole
 */
export function share(part, whole) {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : UNKNOWN;
}
