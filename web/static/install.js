/**
 * Says to the browser that the page can be put on the home screen as an app, where that is so: on https and
 * on the machine itself.
 */

export function offerInstall() {
  if (window.isSecureContext) {
    const link = document.createElement("link");
    link.rel = "manifest";
    link.href = "/static/lowmaf.webmanifest";
    document.head.append(link);
  }
}
