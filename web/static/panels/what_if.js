/** What if a limit were another: how many of the newest kept samples would count then, and using it. */

import { ask, get } from "../api.js";
import { button, el, labelled, section, setText, whenParked } from "../dom.js";
import { count, share, signed } from "../format.js";
import { LIMITS_CHANGED, titleOf } from "../limits.js";

/** A person is still typing for this long, ms. */
const SETTLE_MS = 400;

/** @typedef {import("../limits.js").Limit} Limit */

const NOW_ON =
  "They count for samples from now on; what was judged before stays as it is. The configuration file is not touched: Setup shows what was changed here.";

export function build() {
  const result = el("p.figure", { role: "status" });
  const detail = el("p.words");
  const list = el("div.limits");
  const keep = el("p.soft");
  const outcome = el("p.outcome", { role: "status" });
  const use = button("Use these limits", () => void take(view));
  use.classList.add("primary");
  const using = whenParked(el("div.actions", {}, use));
  using.hidden = true;
  const back = button("As it is now", () => {
    for (const { input, limit } of view.inputs) {
      input.value = text(limit.value);
    }
    void judge(view);
  });
  back.hidden = true;
  const judged = el("div.judged", {}, result, detail, using, keep, outcome);
  const root = section("what-if", "What if a limit were another?", judged, list, el("div.actions", {}, back));
  const view = {
    root, result, detail, list, keep, using, outcome, back,
    inputs: /** @type {{limit: Limit, input: HTMLInputElement | HTMLSelectElement}[]} */ ([]),
    asked: false,
    changeable: false,
    timer: 0,
    running: /** @type {AbortController | null} */ (null),
  };
  document.addEventListener(LIMITS_CHANGED, () => {
    view.asked = false;
  });
  return view;
}

/** @param {ReturnType<typeof build>} view */
export function render(view) {
  if (!view.asked) {
    view.asked = true;
    if (view.inputs.length === 0) {
      setText(view.detail, "Judging the newest kept samples …");
    }
    void begin(view);
  }
}

/** @param {ReturnType<typeof build>} view */
async function begin(view) {
  const answer = await get("/api/v1/settings");
  if (!answer.ok) {
    view.asked = answer.status !== 0;
    setText(view.detail, answer.message);
    return;
  }
  view.changeable = answer.body.filters_change;
  view.inputs = answer.body.filters.map((/** @type {Limit} */ limit) => ({ limit, input: inputOf(limit) }));
  view.list.replaceChildren(
    ...view.inputs.map(({ limit, input }) => {
      input.addEventListener("input", () => {
        window.clearTimeout(view.timer);
        setText(view.outcome, "");
        view.timer = window.setTimeout(() => judge(view), SETTLE_MS);
      });
      const unit = limit.unit ? ` (${limit.unit})` : "";
      return labelled(`${titleOf(limit)}${unit}`, input);
    }),
  );
  await judge(view);
}

/** @param {Limit} limit */
function inputOf(limit) {
  if (typeof limit.value === "boolean") {
    const options = ["true", "false"].map((value) => el("option", { value }, value === "true" ? "yes" : "no"));
    const select = /** @type {HTMLSelectElement} */ (el("select", {}, ...options));
    select.value = text(limit.value);
    return select;
  }
  const input = /** @type {HTMLInputElement} */ (
    el("input", { type: "text", inputmode: "decimal", autocomplete: "off", placeholder: "off" })
  );
  input.value = text(limit.value);
  return input;
}

/** @param {Limit["value"]} value */
function text(value) {
  return value === null ? "" : String(value);
}

/**
 * What is typed differs from what is in use.
 * @param {ReturnType<typeof build>} view
 * @returns {[string, string][]} name and what is typed, `off` for nothing
 */
function typed(view) {
  return view.inputs
    .filter(({ limit, input }) => input.value.trim() !== text(limit.value))
    .map(({ limit, input }) => [limit.name, input.value.trim().replace(",", ".") || "off"]);
}

/**
 * Lets the limits hold that were tried.
 * @param {ReturnType<typeof build>} view
 */
async function take(view) {
  const values = { off: null, true: true, false: false };
  const filters = Object.fromEntries(
    typed(view).map(([name, value]) => [name, value in values ? values[/** @type {keyof typeof values} */ (value)] : Number(value)]),
  );
  const answer = await ask("PATCH", "/api/v1/settings", { json: { filters } });
  setText(view.outcome, answer.ok ? "✓ In use for samples from now on." : answer.message);
  if (answer.ok) {
    document.dispatchEvent(new CustomEvent(LIMITS_CHANGED));
  }
}

/** @param {ReturnType<typeof build>} view */
async function judge(view) {
  view.running?.abort();
  view.running = new AbortController();
  const pairs = typed(view).map(([name, value]) => `${name}=${value}`);
  view.back.hidden = pairs.length === 0;
  view.using.hidden = true;
  const query = new URLSearchParams(pairs.map((pair) => ["filter", pair]));
  try {
    const answer = await ask("GET", `/api/v1/what-if?${query}`, { signal: view.running.signal });
    if (answer.ok) {
      show(view, answer.body, pairs);
    } else {
      setText(view.result, pairs.length > 0 ? "This cannot be tried" : "Nothing to look at");
      setText(view.detail, answer.message);
      setText(view.keep, "");
    }
  } catch (error) {
    if (/** @type {Error} */ (error).name !== "AbortError") {
      throw error; // a newer question is on its way otherwise
    }
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {{samples: number, drives: number[], now: {accepted: number}, then: {accepted: number, verdicts: any[]}}} found
 * @param {string[]} pairs
 */
function show(view, { samples, drives, now, then }, pairs) {
  const of = `of the newest ${count(samples)} kept samples (${drives.length === 1 ? `drive ${drives[0]}` : `drives ${drives[0]} to ${drives[drives.length - 1]}`})`;
  if (pairs.length === 0) {
    setText(view.result, `${count(now.accepted)} count, ${share(now.accepted, samples)}`);
    setText(view.detail, `${of}. Change a limit to see what it would do; nothing is changed by trying.`);
    setText(view.keep, "");
    return;
  }
  const gained = then.accepted - now.accepted;
  const relative = now.accepted > 0 ? ` (${signed((100 * gained) / now.accepted, 0)}\u00a0%)` : "";
  setText(view.result, `${count(then.accepted)} would count, ${gained < 0 ? `${count(-gained)} fewer` : `${count(gained)} more`}${relative}`);
  const worst = then.verdicts.filter((verdict) => verdict.verdict !== "accepted").sort((one, other) => other.count - one.count)[0];
  const most = worst === undefined ? "" : ` Most of the others: ${worst.words} (${count(worst.count)}).`;
  setText(view.detail, `${of}, instead of ${count(now.accepted)}.${most}`);
  view.using.hidden = !view.changeable;
  setText(view.keep, view.changeable ? NOW_ON : "");
}
