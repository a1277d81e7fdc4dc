import { STALE_AFTER_MS } from "./board.js";

const RETRY_MS = 700;
const KINDS = ["table", "live", "status"];

/**
 * The event stream, kept open while the page is seen.
 *
 * A browser allows six connections to one host, so a hidden page lets go of its own. A stream that
 * is silent although it looks open (phones freeze them) is opened anew, and there is no last try.
 */
export class Connection {
  #url;
  #receive;
  /** @type {EventSource | null} */
  #source = null;
  /** Whether the page is seen. */
  #wanted = false;
  #heardAt = 0;
  #retryAt = 0;

  /**
   * @param {string} url
   * @param {(kind: string, document: object) => void} receive
   */
  constructor(url, receive) {
    this.#url = url;
    this.#receive = receive;
    const seen = () => document.visibilityState !== "hidden";
    document.addEventListener("visibilitychange", () => this.#want(seen()));
    window.addEventListener("pageshow", () => this.#want(seen()));
    window.addEventListener("pagehide", () => this.#want(false));
    window.setInterval(() => this.#watch(), 250);
    this.#want(seen());
  }

  /** @param {boolean} wanted */
  #want(wanted) {
    this.#wanted = wanted;
    if (!wanted) {
      this.#close();
    } else if (this.#source === null) {
      this.#open();
    }
  }

  #open() {
    this.#close();
    this.#heardAt = performance.now();
    const source = new EventSource(this.#url);
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => {
        this.#heardAt = performance.now();
        this.#receive(kind, JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => {
      if (source === this.#source) {
        this.#close();
        this.#retryAt = performance.now() + RETRY_MS;
      }
    });
    this.#source = source;
  }

  #close() {
    this.#source?.close();
    this.#source = null;
  }

  /** Opens what was lost and replaces what fell silent. */
  #watch() {
    if (!this.#wanted) {
      return;
    }
    const now = performance.now();
    const silent = this.#source !== null && now - this.#heardAt > STALE_AFTER_MS;
    if (silent || (this.#source === null && now >= this.#retryAt)) {
      this.#open();
    }
  }
}
