/** Starts the page: connects the stream to the board and draws the panels when something changed. */

import { Board } from "./board.js";
import { Connection } from "./connection.js";
import { setText } from "./dom.js";
import { duration } from "./format.js";
import * as about from "./panels/about.js";
import * as control from "./panels/control.js";
import * as curve from "./panels/curve.js";
import * as link from "./panels/link.js";
import * as live from "./panels/live.js";
import * as progress from "./panels/progress.js";
import * as table from "./panels/table.js";
import * as take from "./panels/take.js";
import * as truth from "./panels/truth.js";
import * as verdicts from "./panels/verdicts.js";
import * as warnings from "./panels/warnings.js";

/** In the order in which they stand on the phone. */
const PANELS = [link, progress, truth, live, warnings, curve, table, verdicts, take, control, about];

const board = new Board();
const badge = /** @type {HTMLElement} */ (document.getElementById("simulated"));
const stale = /** @type {HTMLElement} */ (document.getElementById("stale"));
let staleSince = "";
let drawing = false;

function draw() {
  drawing = false;
  showSimulated();
  for (const panel of PANELS) {
    panel.render(board);
  }
}

function drawSoon() {
  if (!drawing) {
    drawing = true;
    requestAnimationFrame(draw);
  }
}

/** The banner, and the grey over everything that may no longer be true. */
function showStale() {
  if (document.body.classList.toggle("is-stale", board.stale)) {
    staleSince ||= new Date(Date.now() - board.age).toLocaleTimeString();
    setText(stale, `Stale since ${staleSince}: no data for ${duration(board.age / 1000)}. Reconnecting …`);
  } else {
    staleSince = "";
  }
  stale.hidden = !board.stale;
}

/** A simulated car must not be taken for a real one, nor its table be flashed. */
function showSimulated() {
  const simulated = board.simulated;
  if (simulated === badge.hidden) {
    badge.hidden = !simulated;
    document.title = simulated ? "lowmaf – SIMULATED" : "lowmaf";
  }
}

new Connection("/api/v1/stream", (kind, document) => {
  board.take(/** @type {"table" | "live" | "status"} */ (kind), document);
  showStale();
  drawSoon();
});
window.setInterval(() => {
  showStale();
  drawSoon();
}, 500);
draw();
