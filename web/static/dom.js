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
 * A panel's section, with its heading, at the end of a column of the page.
 * @param {"glance" | "charts" | "details"} column
 * @param {string} id
 * @param {string} title
 * @param {...Child} children
 */
export function section(column, id, title, ...children) {
  const heading = el("h2", { id: `${id}-title` }, title);
  const element = el(`section.panel`, { id, "aria-labelledby": heading.id }, heading, ...children);
  document.getElementById(column)?.append(element);
  return element;
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
