/** Which program, which session, since when. */

import { el, setText } from "../dom.js";
import { duration } from "../format.js";

function build() {
  const words = el("p");
  document.getElementById("about")?.append(words);
  return { words };
}

/** @param {import("../board.js").Board} board */
export function render(board) {
  const { status, table } = board;
  const parts = [];
  if (status !== null) {
    parts.push(`lowmaf ${status.version}`, `driver ${status.link.driver}`, `up ${duration(status.uptime_s)}`);
    if (status.session !== null) {
      parts.push(`session ${status.session}`);
    }
  }
  if (table !== null) {
    parts.push(`${table.maf_table.name}, revision ${table.maf_table.revision}`, `estimator ${table.estimator}`);
  }
  setText(board.view("about", build).words, parts.join(" · "));
}
