/** Pause and resume, for flashing, and reset: only while the car stands, and only when held. */

import { ask } from "../api.js";
import { button, el, section, setText, whenParked } from "../dom.js";
import { holdButton } from "../hold.js";

const PAUSE_WORDS = "Pause closes the port, so that another program can flash the ECU.";
const SAFE_WORDS = "Paused: the port is closed and nothing is sent. Once the cable is unplugged it is safe to flash.";

/** @param {import("../board.js").Board} board */
export function build(board) {
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
  const resume = button("Resume", () => send("resume", "Opening the port …"));
  const buttons = el("div.actions", {}, pause.button, resume, reset.button);
  const why = el("p.soft", {}, "Reset forgets what was learned, for instance after a change to the intake.");
  const root = section("control", "Pause and reset", words, whenParked(buttons, why), outcome);
  const view = { root, words, pause, resume, say, state: "" };
  return view;

  /**
   * @param {"pause" | "resume" | "reset"} name
   * @param {string} done what to say when the daemon has taken it, unless the link's state says it already
   */
  async function send(name, done) {
    const before = board.link?.state;
    say("Asking the daemon …");
    const answer = await ask("POST", "/api/v1/commands", { json: { command: name } });
    say(answer.ok ? (board.link?.state === before ? done : "") : answer.message);
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const state = board.link?.state ?? "";
  const paused = state === "paused";
  if (state !== view.state) {
    view.say(""); // what was asked for has happened, or something else has
    view.state = state;
  }
  swap(view, paused);
  setText(view.words, paused && !board.stale ? SAFE_WORDS : PAUSE_WORDS);
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
