/**
 * Which panels stand in which view, and in which column. The second column is beside the first on a
 * wide window and below it on a phone. The drive view comes with the page, the others are fetched when
 * they are opened, or when the page has nothing else to do: each file costs the Pi and the phone time.
 *
 * @typedef {object} Panel
 * @property {(board: import("./board.js").Board) => {root: HTMLElement}} build
 * @property {(view: any, board: import("./board.js").Board) => void} render
 *
 * @typedef {object} View
 * @property {string} id also the fragment of its address
 * @property {string} title
 * @property {string} icon path of a 24 × 24 drawing
 * @property {(wide: boolean) => Promise<Panel[][]>} load its columns; rejects where the daemon is away
 */

import * as link from "./panels/link.js";
import * as live from "./panels/live.js";
import * as progress from "./panels/progress.js";
import * as truth from "./panels/truth.js";
import * as warnings from "./panels/warnings.js";

const GLANCE = [link, progress, live, warnings, truth];

/** @param {...(Panel | Promise<Panel>)[]} lists */
const columns = (...lists) => Promise.all(lists.map((list) => Promise.all(list)));

const table = () => import("./panels/table.js");
const curve = () => import("./panels/curve.js");

/** @type {View[]} */
export const VIEWS = [
  {
    id: "drive",
    title: "Drive",
    icon: "M12 3a9 9 0 0 0-7.8 13.5h15.6A9 9 0 0 0 12 3zM12 14l4-6",
    load: (wide) => (wide ? columns(GLANCE, [curve(), table()]) : columns(GLANCE)),
  },
  {
    id: "table",
    title: "Table",
    icon: "M4 5h16v14H4zM4 10h16M4 14.5h16M10 5v14",
    load: () => columns([table()], [import("./panels/cell.js")]),
  },
  { id: "curve", title: "Curve", icon: "M4 4v16h16M6 17c5 0 5-10 13-11", load: () => columns([curve()]) },
  {
    id: "why",
    title: "Why",
    icon: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.5M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
    load: () =>
      columns(
        [import("./panels/verdicts.js"), import("./panels/minutes.js")],
        [import("./panels/what_if.js")],
      ),
  },
  {
    id: "flash",
    title: "Flash",
    icon: "M13 3 6 13.5h5L10 21l8-11h-5.5z",
    load: () =>
      columns(
        [import("./panels/checks.js"), import("./panels/take.js"), import("./panels/effect.js")],
        [import("./panels/control.js"), import("./panels/flashed.js"), import("./panels/after.js")],
      ),
  },
  {
    id: "drives",
    title: "Drives",
    icon: "M6 4h9l3 3v13H6zM9 11h6M9 15h6",
    load: () =>
      columns(
        [import("./panels/drives.js")],
        [import("./panels/uploads.js"), import("./panels/analyses.js")],
      ),
  },
  {
    id: "settings",
    title: "Setup",
    icon: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.5v5M9 14.5v5",
    load: () =>
      columns(
        [import("./panels/source.js"), import("./panels/limits.js"), import("./panels/flashed.js")],
        [import("./panels/health.js"), import("./panels/phone.js"), import("./panels/devices.js")],
      ),
  },
];
