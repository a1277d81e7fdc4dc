/**
 * Keeps the screen on while the page is seen, where the browser allows it: only on https and on the
 * machine itself. On plain http the phone's own setting has to do it.
 */

/** @type {{released: boolean} | null} */
let lock = null;

/** Whether this browser lets this page keep the screen on. */
export function canStayAwake() {
  return window.isSecureContext && "wakeLock" in navigator;
}

async function hold() {
  if (document.visibilityState === "visible") {
    try {
      lock = await navigator.wakeLock.request("screen");
    } catch {
      lock = null; // the battery is low: the phone decides
    }
  }
}

export function keepAwake() {
  if (canStayAwake()) {
    document.addEventListener("visibilitychange", hold);
    void hold();
  }
}

/** Whether the screen is kept on now: a phone whose battery is low takes it back. */
export function isAwake() {
  return lock !== null && !lock.released;
}
