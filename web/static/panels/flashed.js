/** The table that is in the ECU now: “I flashed it”, the one copied here or another that is pasted. */

import { ask } from "../api.js";
import { copiedTable, keepCopied } from "../copied_table.js";
import { button, el, labelled, section, setText, whenParked } from "../dom.js";
import { fixed, range, signed } from "../format.js";
import { holdButton } from "../hold.js";
import { flow } from "../units.js";

export function build() {
  const present = el("p.words");
  const copied = button("I flashed the table copied here", () => fromCopy());
  const text = /** @type {HTMLTextAreaElement} */ (
    el("textarea", { rows: "5", spellcheck: "false", autocomplete: "off", placeholder: "[Table2D] …" })
  );
  const preview = button("See what is understood", () => look());
  const understood = el("div.understood");
  const outcome = el("p.outcome", { role: "status" });
  const take = holdButton("Hold: this is in the ECU now", () => put(), () => setText(outcome, "Hold it for a second."));
  take.button.hidden = true;
  const root = section(
    "flashed",
    "The MAF table in the ECU",
    present,
    whenParked(
      el("div.actions", {}, copied),
      labelled("Or paste the table that is in the ECU (RomRaider, EcuFlash, CSV)", text),
      el("div.actions", {}, preview),
      understood,
      el("div.actions", {}, take.button),
    ),
    outcome,
  );
  let previewed = "";
  text.addEventListener("input", forget);
  return { root, present, copied };

  function forget() {
    previewed = "";
    take.button.hidden = true;
    understood.replaceChildren();
    setText(outcome, "");
  }

  function fromCopy() {
    text.value = copiedTable()?.text ?? "";
    forget();
    void look();
  }

  /** Asks what the daemon understands of the text; nothing is changed by that. */
  async function look() {
    forget();
    const asked = text.value;
    const answer = await ask("PUT", "/api/v1/maf-table?preview=1", { text: asked });
    if (asked !== text.value) {
      return; // it was changed meanwhile
    }
    if (!answer.ok) {
      setText(outcome, withoutRequest(answer.message));
      return;
    }
    previewed = asked;
    understood.replaceChildren(...describe(answer.body));
    take.button.hidden = false;
  }

  async function put() {
    const answer = await ask("PUT", "/api/v1/maf-table", { text: previewed });
    const done = answer.ok ? doneWords(answer.body) : answer.message;
    if (answer.ok) {
      keepCopied(null);
      text.value = "";
      forget();
    }
    setText(outcome, done);
  }
}

/**
 * @param {ReturnType<typeof build>} view
 * @param {import("../board.js").Board} board
 */
export function render(view, board) {
  const table = board.table?.maf_table;
  setText(view.present, table ? `In the ECU now, as far as lowmaf knows: ${table.name}, revision ${table.revision}.` : "");
  const copied = copiedTable();
  view.copied.hidden = copied === null;
  if (copied !== null) {
    setText(view.copied, `I flashed the table copied ${new Date(copied.at).toLocaleString([], { dateStyle: "short", timeStyle: "short" })}`);
  }
}

/**
 * A refusal without what it says to programs: how a request has to look.
 * @param {string} message
 */
function withoutRequest(message) {
  return message.replace(/\. the body is [^]*$/, ".");
}

/** @param {any} body */
function describe({ table, compared }) {
  const flows = table.flow_gs;
  const cells = table.maf_v.length;
  const lines = [
    `${cells} cells from ${range([table.maf_v[0], table.maf_v[cells - 1]], 2)} V, ` +
      `${flow(flows[0], 2)} to ${flow(flows[cells - 1], 1)}.`,
    compared.same_axis ? "The voltages are those of the present table." : "The voltages differ from the present table.",
  ];
  if (compared.largest_change_pct !== null) {
    lines.push(
      compared.largest_change_pct === 0
        ? "It is the present table, unchanged."
        : `Largest change: ${signed(compared.largest_change_pct, 1)} % at ${fixed(compared.at_maf_v, 2)} V.`,
    );
  }
  return [el("h3", {}, "Understood"), ...lines.map((line) => el("p", {}, line))];
}

/** @param {any} body */
function doneWords({ changed, carried_over: carried, table }) {
  if (!changed) {
    return "That table is the present one already; nothing was changed.";
  }
  const learned = carried ? "What was learned is carried over to it" : "Learning begins anew, since one of the tables has no flow";
  return `✓ Revision ${table.revision} is in the ECU now. ${learned}; the next drive shows whether it does what was predicted.`;
}
