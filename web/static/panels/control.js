/** Pause and resume, for flashing, and reset: only while the car stands, and only when held. */

import { el, section, setText } from "../dom.js";
import { holdButton } from "../hold.js";

const PAUSE_WORDS = "Pause closes the port, so that another program can flash the ECU.";
const SAFE_WORDS = "Paused: the port is closed and nothing is sent. Once the cable is unplugged it is safe to flash.";
const MOVING_WORDS = "The car is moving. Pause and reset are here when it stands.";

function build() {
  const words = el("p.words");
  const outcome = el("p.outcome", { role: "status" });
  const say = (/** @type {string} */ text) => setText(outcome, text);
  const tooShort = () => say("Hold it for a second.");
  const pause = holdButton("Hold to pause", () => send("pause", "Closing the port …"), tooShort);
  const reset = holdButton(
    "Hold to reset",
    () => send("reset", "Reset: what was learned so far counts no more."),
    tooShort,
  );
  const resume = el("button", { type: "button" }, "Resume");
  resume.addEventListener("click", () => send("resume", "Opening the port …"));
  const buttons = el("div.actions", {}, pause.button, resume, reset.button);
  section("details", "control", "Pause and reset", words, buttons, outcome);
  const view = { words, buttons, pause, resume, reset, say, state: "" };
  return view;

  /**
   * @param {"pause" | "resume" | "reset"} name
   * @param {string} done what to say when the daemon has taken it, unless the link's state says it already
   */
  async function send(name, done) {
    const before = view.state;
    say("Asking the daemon …");
    const answer = await command(name);
    say(answer || (view.state === before ? done : ""));
  }
}

/** @param {import("../board.js").Board} board */
export function render(board) {
  const view = board.view("control", build);
  const state = board.link?.state ?? "";
  const paused = state === "paused";
  const moving = board.fresh && (board.live?.values.speed_kmh ?? 0) > 0;
  if (moving) {
    view.pause.abandon();
    view.reset.abandon();
  }
  if (state !== view.state) {
    view.say(""); // what was asked for has happened, or something else has
    view.state = state;
  }
  view.buttons.hidden = moving;
  swap(view, paused);
  setText(view.words, moving ? MOVING_WORDS : paused && !board.stale ? SAFE_WORDS : PAUSE_WORDS);
}

/**
 * Shows either Pause or Resume; who had the focus on one has it on the other.
 * @param {ReturnType<typeof build>} view
 * @param {boolean} paused
 */
function swap({ pause, resume }, paused) {
  const [shown, gone] = paused ? [resume, pause.button] : [pause.button, resume];
  const focused = document.activeElement === gone;
  shown.hidden = false;
  gone.hidden = true;
  if (focused) {
    shown.focus();
  }
}

/**
 * @param {"pause" | "resume" | "reset"} name
 * @returns {Promise<string>} why it was not done, empty if it was
 */
async function command(name) {
  try {
    const response = await fetch("/api/v1/commands", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ command: name }),
    });
    return response.ok ? "" : (await response.json()).error.message;
  } catch {
    return "The daemon did not answer. Try again.";
  }
}
