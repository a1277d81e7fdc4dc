/** Units a person chose to read. What the daemon sends and takes stays in °C, g/s and lambda. */

import { fixed, range, UNKNOWN } from "./format.js";

const KEY = "lowmaf.units";
const LB_MIN_PER_GS = 60 / 453.59237;
/** Stoichiometric air to fuel of petrol. */
const STOICHIOMETRIC = 14.7;

/** @type {Record<string, {title: string, choices: Record<string, string>}>} */
export const QUANTITIES = {
  temperature: { title: "Temperature", choices: { c: "°C", f: "°F" } },
  flow: { title: "Air flow", choices: { gs: "g/s", lbmin: "lb/min" } },
  mixture: { title: "Mixture", choices: { lambda: "λ", afr: "AFR" } },
};

/** @type {Record<string, string>} */
const chosen = { temperature: "c", flow: "gs", mixture: "lambda", ...kept() };

/** @returns {Record<string, string>} what was chosen before, as far as it exists */
function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return Object.fromEntries(
      Object.entries(found).filter(([quantity, unit]) => QUANTITIES[quantity]?.choices[/** @type {string} */ (unit)]),
    );
  } catch {
    return {}; // storage is switched off in this browser, or holds something else
  }
}

/** @param {string} quantity */
export function unitOf(quantity) {
  return chosen[quantity];
}

/**
 * @param {string} quantity
 * @param {string} unit
 */
export function choose(quantity, unit) {
  chosen[quantity] = unit;
  try {
    localStorage.setItem(KEY, JSON.stringify(chosen));
  } catch {
    // storage is switched off in this browser: the choice lasts as long as the page
  }
}

/** Differs whenever something that is shown in units must be drawn anew. */
export function unitsKey() {
  return Object.values(chosen).join(" ");
}

/** @param {string} quantity */
export function unitName(quantity) {
  return QUANTITIES[quantity].choices[chosen[quantity]];
}

/** @param {number} gs */
export function flowValue(gs) {
  return chosen.flow === "gs" ? gs : gs * LB_MIN_PER_GS;
}

/**
 * A flow without its unit.
 * @param {number | null | undefined} gs
 * @param {number} digits of a flow in g/s; lb/min have one more
 */
export function flowNumber(gs, digits) {
  return gs === null || gs === undefined ? UNKNOWN : fixed(flowValue(gs), chosen.flow === "gs" ? digits : digits + 1);
}

/**
 * @param {number | null | undefined} gs
 * @param {number} digits
 */
export function flow(gs, digits) {
  return gs === null || gs === undefined ? UNKNOWN : `${flowNumber(gs, digits)}\u00a0${unitName("flow")}`;
}

/** @param {[number, number]} gs */
export function flowRange([low, high]) {
  const digits = chosen.flow === "gs" ? 0 : 1;
  return `${range([flowValue(low), flowValue(high)], digits)}\u00a0${unitName("flow")}`;
}

/**
 * A temperature without its unit.
 * @param {number | null | undefined} celsius
 */
export function temperatureNumber(celsius) {
  return celsius === null || celsius === undefined ? UNKNOWN : fixed(chosen.temperature === "c" ? celsius : 32 + 1.8 * celsius, 0);
}

/** @param {number | null | undefined} celsius */
export function temperature(celsius) {
  const number = temperatureNumber(celsius);
  return number === UNKNOWN ? number : `${number}\u00a0${unitName("temperature")}`;
}

/**
 * A sentence of the daemon with its temperatures as they are chosen.
 * @param {string} words
 */
export function inUnits(words) {
  return chosen.temperature === "c"
    ? words
    : words.replace(/([-−]?\d+(?:\.\d+)?)([ \u00a0])°C/g, (_, number, space) => {
        return `${fixed(32 + 1.8 * Number(number.replace("−", "-")), 0)}${space}°F`;
      });
}

/** @param {number | null | undefined} lambda */
export function mixtureNumber(lambda) {
  if (lambda === null || lambda === undefined) {
    return UNKNOWN;
  }
  return chosen.mixture === "lambda" ? fixed(lambda, 3) : fixed(STOICHIOMETRIC * lambda, 1);
}
