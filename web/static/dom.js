/**
 * Elements built from code. Text only ever becomes a text node, so a name from a car, a log or
 * another device is shown and never run.
 *
 * @typedef {Node | string | null} Child
 */

/**
 * @param {string} tag element, with classes behind dots: "p.words"
 * @param {Record<string, string>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length > 0) {
    element.className = classes.join(" ");
  }
  for (const [attribute, value] of Object.entries(attributes)) {
    element.setAttribute(attribute, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) {
    element.setAttribute(attribute, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * A panel's section, with its heading.
 * @param {string} id
 * @param {string} title
 * @param {...Child} children
 */
export function section(id, title, ...children) {
  const heading = el("h2", { id: `${id}-title` }, title);
  return el("section.panel", { id, "aria-labelledby": heading.id }, heading, ...children);
}

/**
 * What is there only while the car stands; while it moves, a sentence says why it is not.
 * @param {...Child} children
 */
export function whenParked(...children) {
  return el("div.when-parked", {}, el("div.parked", {}, ...children), whyNotNow());
}

/** The sentence that is there while the car moves; once for a list whose rows have `div.parked` of their own. */
export function whyNotNow() {
  return el("p.moving", {}, "The car is moving: what changes something is here when it stands.");
}

/**
 * A short explanation behind a question that can be tapped.
 * @param {string} question
 * @param {...string} paragraphs
 */
export function explained(question, ...paragraphs) {
  const words = paragraphs.map((paragraph) => el("p", {}, paragraph));
  return el("details.explained", {}, el("summary", {}, question), ...words);
}

/**
 * Sets text only where it differs, so that screen readers hear changes and nothing is laid out twice.
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}

/**
 * Puts a name on an element of an input, with the label above it.
 * @param {string} words
 * @param {HTMLElement} input
 */
export function labelled(words, input) {
  return el("label.field", {}, el("span", {}, words), input);
}

/**
 * A button that does something at once.
 * @param {string} words
 * @param {() => void} act
 */
export function button(words, act) {
  const element = /** @type {HTMLButtonElement} */ (el("button", { type: "button" }, words));
  element.addEventListener("click", act);
  return element;
}
