/** The table to flash, as text to select and paste, or the reasons why there is none yet. */

import { el, explained, section, setText } from "../dom.js";
import { fixed } from "../format.js";

function build() {
  const check = el("p.words");
  const button = el("button", { type: "button" }, "Table for RomRaider");
  const outcome = el("p.outcome", { role: "status" });
  const reasons = el("ul.reasons");
  const text = /** @type {HTMLTextAreaElement} */ (
    el("textarea", { readonly: "", rows: "4", "aria-label": "Table for RomRaider", spellcheck: "false" })
  );
  text.hidden = true;
  text.addEventListener("focus", () => text.select());
  button.addEventListener("click", () => fetchTable({ outcome, reasons, text }));
  section(
    "details",
    "take",
    "Take the table",
    check,
    explained(
      "What is held out, what are plain means?",
      "Held-out check: the table is learned again without a part of the drive, and must predict the trims of " +
        "that part better than no correction at all.",
      "Plain means: the usual method, the mean trim of each cell, put to the same test.",
      "When it is passed: take the table, paste it over the MAF table in RomRaider, pause here, unplug, flash.",
    ),
    el(
      "div.actions",
      {},
      button,
      el("a.button", { href: "/api/v1/table?format=csv", download: "lowmaf-table.csv" }, "CSV"),
      el("a.button", { href: "/api/v1/table", download: "lowmaf-table.json" }, "JSON"),
    ),
    outcome,
    reasons,
    text,
  );
  return { check };
}

/** @param {import("../board.js").Board} board */
export function render(board) {
  const found = board.table?.held_out ?? null;
  setText(
    board.view("take", build).check,
    found === null
      ? "Not enough driving yet for the held-out check."
      : `Held-out check ${found.passed ? "passed" : "failed"}: trims not seen are predicted to ` +
          `${fixed(found.rms_pct, 2)}\u00a0%; without correction ${fixed(found.rms_uncorrected_pct, 2)}\u00a0%, ` +
          `by plain means ${fixed(found.rms_nearest_pct, 2)}\u00a0%.`,
  );
}

/** @param {{outcome: HTMLElement, reasons: HTMLElement, text: HTMLTextAreaElement}} view */
async function fetchTable({ outcome, reasons, text }) {
  text.hidden = true;
  reasons.replaceChildren();
  try {
    const response = await fetch("/api/v1/table?format=romraider", { cache: "no-store" });
    if (response.ok) {
      text.value = await response.text();
      text.hidden = false;
      setText(outcome, "Tap the text to select it, copy it, and paste it over the MAF table.");
      return;
    }
    const { error } = await response.json();
    const why = error.detail.reasons ?? [error.message];
    setText(outcome, "Not fit to be flashed yet:");
    reasons.replaceChildren(...why.map((/** @type {string} */ reason) => el("li", {}, reason)));
  } catch {
    setText(outcome, "The daemon did not answer. Try again.");
  }
}
