/** Which kinds of routes this daemon has: asked once, since not every one keeps logs or makes a diagnosis. */

import { get } from "./api.js";

/** @type {Promise<string[]> | null} */
let asked = null;

/**
 * @param {string} kind first part of the path below /api/v1
 * @returns {Promise<boolean>}
 */
export async function isOffered(kind) {
  asked ??= get("/api/v1/settings").then((answer) => {
    if (!answer.ok) {
      asked = null; // asked again when somebody wants to know again
      return answer.status === 401 ? ["devices"] : []; // who must be paired to be told can be paired
    }
    return answer.body.offers;
  });
  return (await asked).includes(kind);
}
