/** Who may change things: pairs this phone by its code, shows who else is let in, lets others in and out. */

import { ask } from "../api.js";
import { button, el, labelled, section, setText } from "../dom.js";
import { holdButton } from "../hold.js";
import { isOffered } from "../offers.js";

const REFRESH_MS = 5000;
const PATH = "/api/v1/devices";
/** As the QR code's link has it behind the name of the view. */
const LINK = /^#settings\/([\w-]{32})$/;

/**
 * @typedef {{id: string, kind: "device" | "token", name: string, added_wall_s: number,
 *   last_used_wall_s: number | null}} Device
 * @typedef {{devices: Device[], you: {id: string | null, local: boolean}}} Known
 */

export function build() {
  const words = el("p.words");
  const outcome = el("p.outcome", { role: "status" });
  const code = input({ autocomplete: "one-time-code", autocapitalize: "characters", spellcheck: "false" });
  const name = input({ autocomplete: "off", maxlength: "80" });
  name.value = guessedName();
  const entry = el(
    "div",
    {},
    labelled("Code that is shown in the car", code),
    labelled("Name of this phone", name),
    el("div.actions", {}, button("Pair this phone", () => pair(view, code.value))),
  );
  const picture = /** @type {HTMLImageElement} */ (el("img", { alt: "QR code of the link that pairs a phone" }));
  const invitation = el("div", {}, picture, el("p.words"));
  const list = el("ul.drives");
  const more = el("div", {}, el("div.actions", {}, button("Pair another phone", () => invite(view))), invitation, list);
  const root = section("devices", "Who may change things", words, entry, more, outcome);
  const view = { root, words, entry, more, invitation, picture, list, outcome, name, askedAt: 0, shown: "" };
  root.hidden = entry.hidden = more.hidden = invitation.hidden = true;
  window.addEventListener("hashchange", () => pairByLink(view));
  void pairByLink(view).then(() => refresh(view));
  return view;
}

/** @param {ReturnType<typeof build>} view */
export function render(view) {
  const now = performance.now();
  if (!view.more.hidden && now - view.askedAt >= REFRESH_MS) {
    view.askedAt = now;
    void refresh(view);
  }
}

/** @param {ReturnType<typeof build>} view */
async function pairByLink(view) {
  const link = LINK.exec(location.hash);
  if (link !== null) {
    history.replaceState(null, "", "#settings");
    await pair(view, link[1]);
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {string} code
 */
async function pair(view, code) {
  const answer = await ask("POST", "/api/v1/pair", { json: { code, name: view.name.value } });
  if (answer.ok) {
    location.reload(); // all that was refused is asked anew
  }
  view.root.hidden = false;
  setText(view.outcome, answer.ok ? "This phone is paired." : answer.message);
}

/** @param {ReturnType<typeof build>} view */
async function invite(view) {
  const answer = await ask("POST", PATH, { json: { kind: "device" } });
  setText(view.outcome, answer.ok ? "" : answer.message);
  if (answer.ok) {
    const { qr, code, valid_s: validS } = answer.body;
    view.picture.src = qr;
    const minutes = Math.round(validS / 60);
    setText(view.invitation.children[1], `Code ${code}: for one phone, within ${minutes} min.`);
    view.invitation.hidden = false;
  }
}

/** @param {ReturnType<typeof build>} view */
async function refresh(view) {
  view.root.hidden = !(await isOffered("devices"));
  if (view.root.hidden) {
    return;
  }
  const answer = await ask("GET", PATH);
  view.entry.hidden = answer.ok;
  view.more.hidden = !answer.ok;
  if (!answer.ok) {
    setText(view.words, answer.message);
    return;
  }
  /** @type {Known} */
  const { devices, you } = answer.body;
  setText(view.words, you.local ? "This is the machine in the car: it may do everything." : "This phone is paired.");
  const shown = JSON.stringify(devices);
  if (shown !== view.shown) {
    view.shown = shown;
    view.list.replaceChildren(...devices.map((device) => row(view, device, device.id === you.id)));
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {Device} device
 * @param {boolean} own
 */
function row(view, device, own) {
  const revoke = holdButton(
    "Hold to revoke",
    async () => {
      const answer = await ask("DELETE", `${PATH}/${device.id}`);
      setText(view.outcome, answer.ok ? `${device.name} may change nothing any more.` : answer.message);
      await refresh(view);
    },
    () => setText(view.outcome, "Hold it for a second."),
  );
  const kind = device.kind === "token" ? "script" : own ? "this phone" : "phone";
  const times = [
    kind,
    `since ${day(device.added_wall_s)}`,
    device.last_used_wall_s === null ? "never used" : `last here ${day(device.last_used_wall_s)}`,
  ];
  return el("li", {}, el("b", {}, device.name), el("p.soft", {}, times.join(" · ")), el("div.actions", {}, revoke.button));
}

/** @param {number} wallS seconds since 1970 */
function day(wallS) {
  return new Date(wallS * 1000).toLocaleDateString();
}

/** @param {Record<string, string>} attributes */
function input(attributes) {
  return /** @type {HTMLInputElement} */ (el("input", { type: "text", ...attributes }));
}

function guessedName() {
  const [found] = /iPhone|iPad|Android|Windows|Mac|Linux/.exec(navigator.userAgent) ?? ["Phone"];
  return found;
}
