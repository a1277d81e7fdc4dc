import { refusal } from "./api.js";

/**
 * Sends a file as it is, and tells how far it is: fetch() does not know.
 * @param {File} file
 * @param {(share: number) => void} progress 0 to 1
 * @returns {Promise<import("./api.js").Answer | import("./api.js").Failure>}
 */
export function upload(file, progress) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/v1/logs?${new URLSearchParams({ name: file.name })}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => progress(event.total > 0 ? event.loaded / event.total : 0));
    request.addEventListener("load", () => {
      const { status, response } = request;
      if (status < 300) {
        resolve({ ok: true, body: response });
      } else {
        resolve(refusal(status, response));
      }
    });
    request.addEventListener("error", () => resolve({ ok: false, status: 0, message: "The upload did not arrive. Try again.", detail: {} }));
    request.send(file);
  });
}
