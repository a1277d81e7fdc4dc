/** Starts the page: connects the stream to the board and draws the panels of the view that is open. */

import { UNPAIRED } from "./api.js";
import { Board } from "./board.js";
import { Connection } from "./connection.js";
import { setText } from "./dom.js";
import { duration } from "./format.js";
import { MOVING } from "./hold.js";
import { offerInstall } from "./install.js";
import { headline } from "./panels/link.js";
import { Router } from "./router.js";
import { keepAwake } from "./awake.js";

/** @template {HTMLElement} Kind @param {string} id */
const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** The other views are fetched so long after the page began: first the one that is looked at. */
const PRELOAD_MS = 2500;

const board = new Board();
const badge = byId("simulated");
const stale = byId("stale");
const chip = byId("chip");
const unpaired = byId("unpaired");
let staleSince = "";
let drawing = false;

const router = new Router(board, byId("views"), byId("board"), drawSoon);

function draw() {
  drawing = false;
  showSimulated();
  showMoving();
  showChip();
  router.render();
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
  }
  router.title = simulated ? "lowmaf – SIMULATED" : "lowmaf";
}

/** While the car moves nothing can be changed; what was held is let go. */
function showMoving() {
  const { moving } = board;
  if (document.body.classList.contains("is-moving") !== moving) {
    document.body.classList.toggle("is-moving", moving);
    if (moving) {
      document.dispatchEvent(new CustomEvent(MOVING));
    }
  }
}

/** The one word on whether it works, in the views that do not say it themselves. */
function showChip() {
  const [tone, word] = headline(board);
  chip.hidden = router.current === "drive";
  chip.dataset.tone = tone;
  setText(chip, word);
}

document.addEventListener(UNPAIRED, () => {
  unpaired.hidden = false;
  setText(
    unpaired,
    "This phone may look, but not change anything yet: pair it. Run “lowmaf pair” on the machine in the car " +
      "and enter the code it shows.",
  );
});

new Connection("/api/v1/stream", (kind, document) => {
  board.take(/** @type {"table" | "live" | "status"} */ (kind), document);
  showStale();
  drawSoon();
});
window.setInterval(() => {
  showStale();
  drawSoon();
}, 500);
keepAwake();
offerInstall();
draw();
window.setTimeout(() => router.preload(), PRELOAD_MS);
