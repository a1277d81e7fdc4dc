/**
 * Which panels stand in which view, and in which column. The second column is beside the first on a
 * wide window; below it on a phone, unless it is only for wide windows.
 *
 * @typedef {object} Panel
 * @property {(board: import("./board.js").Board) => {root: HTMLElement}} build
 * @property {(view: any, board: import("./board.js").Board) => void} render
 *
 * @typedef {object} View
 * @property {string} id also the fragment of its address
 * @property {string} title
 * @property {string} icon path of a 24 × 24 drawing
 * @property {Panel[][]} columns
 * @property {boolean} [onlyWide] whether the second column is left out on a phone
 */

import * as after from "./panels/after.js";
import * as analyses from "./panels/analyses.js";
import * as cell from "./panels/cell.js";
import * as checks from "./panels/checks.js";
import * as control from "./panels/control.js";
import * as curve from "./panels/curve.js";
import * as drives from "./panels/drives.js";
import * as effect from "./panels/effect.js";
import * as flashed from "./panels/flashed.js";
import * as health from "./panels/health.js";
import * as limits from "./panels/limits.js";
import * as link from "./panels/link.js";
import * as live from "./panels/live.js";
import * as minutes from "./panels/minutes.js";
import * as phone from "./panels/phone.js";
import * as progress from "./panels/progress.js";
import * as source from "./panels/source.js";
import * as table from "./panels/table.js";
import * as take from "./panels/take.js";
import * as truth from "./panels/truth.js";
import * as uploads from "./panels/uploads.js";
import * as verdicts from "./panels/verdicts.js";
import * as warnings from "./panels/warnings.js";
import * as whatIf from "./panels/what_if.js";

/** @type {View[]} */
export const VIEWS = [
  {
    id: "drive",
    title: "Drive",
    icon: "M12 3a9 9 0 0 0-7.8 13.5h15.6A9 9 0 0 0 12 3zM12 14l4-6",
    columns: [[link, progress, live, warnings, truth], [curve, table]],
    onlyWide: true,
  },
  { id: "table", title: "Table", icon: "M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14", columns: [[table], [cell]] },
  { id: "curve", title: "Curve", icon: "M4 4v16h16M6 17c5 0 5-10 13-11", columns: [[curve]] },
  {
    id: "why",
    title: "Why",
    icon: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.5M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
    columns: [[verdicts, minutes], [whatIf]],
  },
  {
    id: "flash",
    title: "Flash",
    icon: "M13 3 6 13.5h5L10 21l8-11h-5.5z",
    columns: [[checks, take, effect], [control, flashed, after]],
  },
  { id: "drives", title: "Drives", icon: "M6 4h9l3 3v13H6zM9 11h6M9 15h6", columns: [[drives], [uploads, analyses]] },
  {
    id: "settings",
    title: "Setup",
    icon: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
    columns: [[source, health], [phone, limits]],
  },
];
