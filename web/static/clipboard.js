/**
 * Copies text. Browsers have a clipboard API only on https and on the machine itself; on plain http a
 * selected text field does it, as long as a tap is being answered.
 * @param {HTMLTextAreaElement} field that holds the text, and is left selected where copying fails
 * @returns {Promise<boolean>} whether it was copied
 */
export async function copyFrom(field) {
  if (window.isSecureContext && navigator.clipboard !== undefined) {
    try {
      await navigator.clipboard.writeText(field.value);
      return true;
    } catch {
      // the browser forbids it for this page: the other way may still be open
    }
  }
  field.focus({ preventScroll: true });
  field.select();
  field.setSelectionRange(0, field.value.length);
  return document.execCommand("copy");
}
