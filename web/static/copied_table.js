/** The table that was copied last, kept on this phone until it is flashed: that one is what gets confirmed. */

const KEY = "lowmaf.copied";

/** @typedef {{text: string, at: number, revision: number}} Copied */

/** @type {Copied | null} */
let newest = null;

/** @returns {Copied | null} */
export function copiedTable() {
  if (newest === null) {
    try {
      const kept = JSON.parse(localStorage.getItem(KEY) ?? "null");
      newest = typeof kept?.text === "string" && Number.isFinite(kept.at) ? kept : null;
    } catch {
      newest = null; // storage is switched off in this browser, or holds something else
    }
  }
  return newest;
}

/** @param {Copied | null} table null forgets it */
export function keepCopied(table) {
  newest = table;
  try {
    table === null ? localStorage.removeItem(KEY) : localStorage.setItem(KEY, JSON.stringify(table));
  } catch {
    // storage is switched off in this browser: it is known as long as the page is open
  }
}
