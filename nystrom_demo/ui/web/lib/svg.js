// SVG: what the tour draws with, and what pictures are saved as.

import { filled } from './dom.js';

const NAMESPACE = 'http://www.w3.org/2000/svg';

/**
 * A new SVG element; see `make` for attributes and children.
 * @param {string} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...any} children
 * @returns {any}
 */
export function draw(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(NAMESPACE, tag), attributes, children);
}

/** An empty picture of that size, its own coordinates in pixels. */
export function sheet(width, height, attributes = {}) {
  return draw('svg', { width, height, viewBox: `0 0 ${width} ${height}`, ...attributes });
}

/** A picture as the text of a file. */
export function serialised(picture) {
  return new XMLSerializer().serializeToString(picture);
}
