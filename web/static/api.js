/**
 * Requests to the daemon. Every failure is a sentence for a person; a refusal for want of pairing is
 * also told to the whole page.
 *
 * @typedef {{ok: true, body: any}} Answer
 * @typedef {{ok: false, status: number, message: string, detail: any}} Failure
 */

export const UNPAIRED = "lowmaf:unpaired";

/**
 * @param {string} method
 * @param {string} path
 * @param {{json?: object, text?: string, signal?: AbortSignal}} [sent]
 * @returns {Promise<Answer | Failure>}
 */
export async function ask(method, path, { json, text, signal } = {}) {
  const headers = {};
  if (json !== undefined) {
    headers["content-type"] = "application/json";
  } else if (text !== undefined) {
    headers["content-type"] = "text/plain; charset=utf-8";
  }
  try {
    const body = json === undefined ? text : JSON.stringify(json);
    const response = await fetch(path, { method, headers, body, signal, cache: "no-store" });
    return response.ok ? await understood(response) : await failure(response);
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") {
      throw error;
    }
    return { ok: false, status: 0, message: "The daemon did not answer. Try again.", detail: {} };
  }
}

/** @param {string} path */
export function get(path) {
  return ask("GET", path);
}

/**
 * @param {Response} response
 * @returns {Promise<Answer>}
 */
async function understood(response) {
  const json = response.headers.get("content-type")?.startsWith("application/json") ?? false;
  return { ok: true, body: json ? await response.json() : await response.text() };
}

/**
 * What was refused, in words.
 * @param {Response} response
 * @returns {Promise<Failure>}
 */
async function failure(response) {
  const document = await response.json().catch(() => null);
  return refusal(response.status, document);
}

/**
 * @param {number} status
 * @param {any} said the error document, null where there is none
 * @returns {Failure}
 */
export function refusal(status, said) {
  const found = said?.error ?? {};
  const message = found.message ?? `The daemon refused this (${status}).`;
  const foreign = found.code === "origin_not_allowed" || found.code === "host_not_allowed";
  if (status === 401 || (status === 403 && !foreign)) {
    document.dispatchEvent(new CustomEvent(UNPAIRED, { detail: message }));
  }
  return { ok: false, status, message, detail: found.detail ?? {} };
}
