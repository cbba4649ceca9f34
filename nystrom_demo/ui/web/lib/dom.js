// Elements of the page. Text reaches it as text nodes alone, never as markup.

/**
 * A new element with attributes and children; strings become text, what is null is left out.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes] one that is null, undefined or false is left out
 * @param {...any} children elements, strings, or lists of them
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * The element itself, with attributes and children.
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, unknown>} attributes
 * @param {any[]} children
 */
export function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

/**
 * The parts of a component by their data-part.
 * @param {Element} root
 * @returns {Record<string, any>}
 */
export function partsOf(root) {
  const nodes = Array.from(root.querySelectorAll('[data-part]'));
  return Object.fromEntries(nodes.map((node) => [node.getAttribute('data-part'), node]));
}
