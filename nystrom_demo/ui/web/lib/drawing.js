// A part of the page drawn again as SVG: box for box, word for word, canvas for canvas.

import { draw, serialised, sheet } from './svg.js';

const PADDING = 16;
const NOT_DRAWN = '.unseen, .takeaway, .tools'; // what is said to screen readers only, and what can be pressed

/** What shows of `root`, on the page's ground; `description` for those who see no pictures. */
export function drawnAgain(root, description) {
  const frame = root.getBoundingClientRect();
  const [width, height] = [frame.width, frame.height].map((side) => Math.ceil(side) + 2 * PADDING);
  const [left, top] = [frame.left - PADDING, frame.top - PADDING];
  const picture = sheet(width, height);
  picture.append(draw('desc', {}, description));
  picture.append(draw('rect', { width, height, fill: getComputedStyle(document.body).backgroundColor }));
  const nodes = document.createTreeWalker(root, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  while (nodes.nextNode()) {
    const node = /** @type {any} */ (nodes.currentNode); // an element or a text
    const holder = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
    if (holder.closest(NOT_DRAWN)) continue;
    const scrolled = holder.closest('.reading')?.getBoundingClientRect();
    const place = (box) => ({ x: box.left - left, y: box.top - top, width: box.width, height: box.height });
    const inSight = (box) => !scrolled || (box.top >= scrolled.top && box.bottom <= scrolled.bottom + 1);
    const drawn = holder === node ? drawnBox : drawnWord;
    for (const { box, text } of holder === node ? boxesOf(node) : wordsOf(node)) {
      if (inSight(box)) picture.append(...drawn(place(box), getComputedStyle(holder), text));
      if (node instanceof HTMLCanvasElement) picture.append(draw('image', { ...place(box), href: node.toDataURL() }));
    }
  }
  return serialised(picture);
}

function boxesOf(node) {
  return [...node.getClientRects()].map((box) => ({ box }));
}

/** Every word of a text node with its box; one that is broken over lines letter by letter. */
function wordsOf(node) {
  const range = document.createRange();
  const piece = (start, text) => {
    range.setStart(node, start);
    range.setEnd(node, start + text.length);
    const boxes = range.getClientRects();
    if (boxes.length > 1 && text.length > 1) return [...text].flatMap((letter, i) => piece(start + i, letter));
    return boxes.length ? [{ box: boxes[0], text }] : [];
  };
  return [...node.data.matchAll(/\S+/g)].flatMap((word) => piece(word.index, word[0]));
}

/** Ground, borders and outline of an element, as far as it has any. */
function drawnBox({ x, y, width, height }, style) {
  const parts = [];
  const line = (side, at) => {
    const size = parseFloat(style[`border${side}Width`]);
    if (!size || style[`border${side}Style`] === 'none') return;
    const dash = style[`border${side}Style`] === 'dashed' ? { 'stroke-dasharray': '4 3' } : {};
    const stroke = { stroke: style[`border${side}Color`], 'stroke-width': size, ...dash };
    parts.push(draw('line', { x1: x, x2: x + width, y1: at, y2: at, ...stroke }));
  };
  if (!/^(transparent|rgba\(.*, 0\))$/.test(style.backgroundColor)) {
    parts.push(draw('rect', { x, y, width, height, fill: style.backgroundColor, opacity: style.opacity }));
  }
  line('Top', y + 1);
  line('Bottom', y + height - 1);
  if (style.outlineStyle === 'dashed') {
    const outer = { x: x - 2, y: y - 2, width: width + 4, height: height + 4 };
    const stroke = { stroke: style.outlineColor, 'stroke-width': 1.5, 'stroke-dasharray': '4 3' };
    parts.push(draw('rect', { ...outer, fill: 'none', ...stroke }));
  }
  return parts;
}

function drawnWord({ x, y, width, height }, style, text) {
  const letters = document.createElement('canvas').getContext('2d');
  letters.font = style.font;
  const { fontBoundingBoxAscent: above, fontBoundingBoxDescent: below } = letters.measureText(text);
  const look = { fill: style.color, 'font-family': style.fontFamily, 'font-size': style.fontSize };
  const shape = { 'font-weight': style.fontWeight, 'font-style': style.fontStyle };
  const fit = { textLength: width, lengthAdjust: 'spacingAndGlyphs' }; // where a viewer has other fonts than the page
  return [draw('text', { x, y: y + (height + above - below) / 2, ...look, ...shape, ...fit }, text)];
}
