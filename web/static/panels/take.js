/** The table to flash, on the clipboard or as a file, or the reasons why there is none yet. */

import { get } from "../api.js";
import { copyFrom } from "../clipboard.js";
import { keepCopied } from "../copied_table.js";
import { button, el, explained, section, setText } from "../dom.js";
import { isFit } from "../proposal.js";

/** A newer table is fetched after this long at the soonest, ms. */
const REFRESH_MS = 3000;

/** @type {Record<string, string>} */
const FORMATS = { romraider: "Copy table", "romraider-selection": "Copy changes only" };

export function build() {
  const outcome = el("p.outcome", { role: "status" });
  const reasons = el("ul.reasons");
  const text = /** @type {HTMLTextAreaElement} */ (
    el("textarea", { readonly: "", rows: "4", "aria-label": "Table for RomRaider and EcuFlash", spellcheck: "false" })
  );
  text.hidden = true;
  text.addEventListener("focus", () => text.select());
  const copies = Object.entries(FORMATS).map(([format, words]) => button(words, () => copy(format)));
  const root = section(
    "take",
    "Take the table",
    el("p.words", {}, "For RomRaider and EcuFlash: copy, then paste over the MAF table there."),
    el(
      "div.actions",
      {},
      ...copies,
      el("a.button", { href: "/api/v1/table?format=csv", download: "lowmaf-table.csv" }, "CSV"),
      el("a.button", { href: "/api/v1/table", download: "lowmaf-table.json" }, "JSON"),
    ),
    outcome,
    reasons,
    text,
    el(
      "ol.advice",
      {},
      el("li", {}, "Pause lowmaf and unplug its cable before you flash: polling during a flash can ruin an ECU."),
      el("li", {}, "Paste over the MAF table, look at the curve for steps, flash, plug lowmaf in again."),
      el("li", {}, "Say “I flashed it” here: only then does lowmaf learn on with the new table."),
    ),
    explained(
      "What is held out, what are plain means?",
      "Held-out check: the table is learned again without a part of the drive, and must predict the trims of " +
        "that part better than no correction at all.",
      "Plain means: the usual method, the mean trim of each cell, put to the same test.",
      "“Copy changes only” is a selection for RomRaider: cells that stay are an x there.",
    ),
  );
  const view = {
    root, outcome, reasons, text, first: copies[0],
    texts: /** @type {Record<string, string>} */ ({}),
    refusals: /** @type {string[]} */ ([]),
    revision: -1,
    fit: false,
    askedAt: -REFRESH_MS,
    coming: /** @type {Promise<void> | null} */ (null),
  };
  return view;

  /**
   * Copies what was fetched before the tap: a browser copies for certain only while it answers one. A tap that
   * comes ahead of the table waits for it, and mostly still counts.
   * @param {string} format
   */
  async function copy(format) {
    if (view.texts[format] === undefined && view.refusals.length === 0) {
      setText(outcome, "The table is on its way …");
      await (view.coming ??= fetchTexts(view));
    }
    const found = view.texts[format];
    reasons.replaceChildren(...(found === undefined ? view.refusals.map((reason) => el("li", {}, reason)) : []));
    text.hidden = found === undefined;
    if (found === undefined) {
      setText(outcome, "Not fit to be flashed yet:");
      return;
    }
    text.value = found;
    const copied = await copyFrom(text);
    if (format === "romraider") {
      keepCopied({ text: found, at: Date.now(), revision: view.revision });
    }
    setText(outcome, copied ? "✓ Copied. Paste it over the MAF table." : "Copy the selected text, and paste it over the MAF table.");
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const revision = board.table?.revision ?? -1;
  const now = performance.now();
  const fit = board.table !== null && isFit(board.table);
  if (revision !== view.revision && (fit !== view.fit || now - view.askedAt >= REFRESH_MS)) {
    view.revision = revision;
    view.fit = fit;
    view.askedAt = now;
    view.coming = fetchTexts(view);
  }
}

/** @param {ReturnType<typeof build>} view */
async function fetchTexts(view) {
  const answers = await Promise.all(Object.keys(FORMATS).map((format) => get(`/api/v1/table?format=${format}`)));
  const refused = answers.find((answer) => !answer.ok);
  view.texts = {};
  view.refusals = refused ? (refused.detail?.reasons ?? [refused.message]) : [];
  Object.keys(FORMATS).forEach((format, at) => {
    const answer = answers[at];
    if (answer.ok) {
      view.texts[format] = answer.body;
    }
  });
  view.first.classList.toggle("primary", answers[0].ok);
}
