/**
 * Limits that samples must keep, as several panels show them.
 *
 * @typedef {{name: string, value: number | boolean | null, configured: number | boolean | null,
 *   unit: string | null, meaning: string}} Limit null is off
 */

/** The page says so when a limit was changed here, so that every panel asks anew. */
export const LIMITS_CHANGED = "lowmaf:limits";

/** @param {Limit} limit */
export function titleOf({ meaning }) {
  const words = meaning.replace(/^true: /, "").replace(/[;:(].*/, "").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * @param {Limit["value"]} value
 * @param {string | null} unit
 */
export function valueWords(value, unit) {
  if (value === null) {
    return "off";
  }
  return typeof value === "boolean" ? (value ? "yes" : "no") : `${value}\u00a0${unit}`;
}

/** @param {Limit} limit */
export function isChanged({ value, configured }) {
  return value !== configured;
}
