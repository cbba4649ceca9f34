// Matrices as pictures: values to colours on a canvas, the canvas as an image inside the SVG.

import { paint, roleColour, roleInk } from '../lib/colour.js';
import { number } from '../lib/format.js';
import { pageState } from '../lib/page.js';
import { draw } from '../lib/svg.js';
import { hideTip, showTip } from './tip.js';

export const GAP = 18; // between matrices
const decoded = new WeakMap(); // beside the blocks, for gradio compares a value with what it sent

export function entriesOf(block) {
  if (!decoded.has(block)) {
    const bytes = Uint8Array.from(atob(block.data), (letter) => letter.charCodeAt(0));
    const halves = new DataView(bytes.buffer);
    const entries = Float32Array.from({ length: bytes.length / 2 }, (_, i) => halfFloat(halves.getUint16(2 * i, true)));
    decoded.set(
      block,
      entries.map((value) => value * block.unit),
    );
  }
  return decoded.get(block);
}

/** The number that 16 bits stand for: sign, five of exponent, ten of fraction. Of what is sent none is infinite. */
export function halfFloat(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
  return bits >> 15 ? -size : size;
}

function cellImage(block, tables) {
  const signed = block.scale === 'signed';
  const table = signed ? tables.signed : tables.weights;
  const colourOf = (value) => {
    const share = signed ? 0.5 + value / (2 * block.limit) : value / block.limit;
    return table[Math.round(Math.min(Math.max(share, 0), 1) * (table.length - 1))];
  };
  const canvas = paint(block.drawn[0], block.drawn[1], (pixels) => {
    entriesOf(block).forEach((value, place) => {
      pixels[place] = colourOf(value);
    });
  });
  return canvas.toDataURL();
}

/** A row's or column's name, counted as the page counts: from `start`, which is 1 unless an axis says otherwise. */
function placeName(scene, axis, index, pooled, start) {
  const first = index * pooled;
  const number = first + start;
  if (axis === 'sum') return "the row's sum";
  if (axis === 'token' && scene.words[first] !== undefined && pooled === 1)
    return `token ${number} “${scene.words[first]}”`;
  if (axis === 'landmark' && scene.segments[first] && pooled === 1) {
    const [start, end] = scene.segments[first];
    const words = scene.words.slice(start, end + 1);
    const named = words.length > 3 ? `${words[0]} … ${words.at(-1)}` : words.join(' ');
    return `landmark ${number} “${named}”`;
  }
  return pooled === 1 ? `${axis} ${number}` : `${axis}s ${number} to ${number + pooled - 1}`;
}

/** @param {import('./picture.js').Stage} stage */
export function drawMatrix(stage, block, { x, y, width, height, slot, thin }) {
  const end = `${block.clipped ? '≥ ' : ''}${number(block.limit)}`;
  const range = block.scale === 'signed' ? `± ${end}` : `0 to ${end}`;
  const label = `${block.name}, ${block.shape[0]} by ${block.shape[1]}, colours from ${range}`;
  const group = draw('g', {
    class: `block${block.secret ? ' secret' : ''}`,
    'data-key': block.key || null,
    tabindex: block.key ? 0 : null,
    role: 'img',
    'aria-label': label,
    style: `--tint: ${roleColour(block.role)}; --ink-tint: ${roleInk(block.role)}`,
  });
  const body = { x, y: y + 20, width, height };
  const image = draw('image', {
    ...body,
    href: cellImage(block, stage.tables),
    preserveAspectRatio: 'none',
    class: 'cells',
  });
  group.append(
    draw('text', { x, y: y + 13, class: 'block-name' }, block.name),
    image,
    draw('rect', { ...body, class: 'block-frame' }),
    ...caption(block, range, x, y + 20 + height + 13, slot, thin),
  );
  image.addEventListener('pointermove', (event) => {
    const frame = image.getBoundingClientRect();
    const cell = (offset, length, count) => Math.min(Math.max(Math.floor((offset / length) * count), 0), count - 1);
    const row = cell(event.clientY - frame.top, frame.height, block.drawn[0]);
    const column = cell(event.clientX - frame.left, frame.width, block.drawn[1]);
    const value = entriesOf(block)[row * block.drawn[1] + column];
    const mean = block.pooled[0] * block.pooled[1] > 1 ? `${block.pooling} ` : '';
    const from = placeName(stage.scene, block.axes[0], row, block.pooled[0], block.first[0]);
    const to = placeName(stage.scene, block.axes[1], column, block.pooled[1], block.first[1]);
    showTip(stage.element, event, [`${block.name}: ${mean}${number(value)}`, `row: ${from}`, `column: ${to}`]);
  });
  image.addEventListener('pointerleave', () => hideTip(stage.element));
  if (block.head !== null) choosesHead(group, block.head);
  return group;
}

/** A click, Enter or the space bar on a head's small picture chooses that head, and keeps nothing lit. */
function choosesHead(group, head) {
  const choose = (event) => {
    if (event.type === 'keydown' && event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    event.stopPropagation();
    pageState()?.set({ head });
  };
  group.setAttribute('role', 'button');
  group.classList.add('choice');
  group.addEventListener('click', choose);
  group.addEventListener('keydown', choose);
}

function caption(block, range, x, y, width, thin) {
  const shape = `${block.shape[0]} × ${block.shape[1]}${thin && width > 140 ? ', drawn thicker' : ''}`;
  const lowest = block.pooling === 'lowest' && Math.max(...block.pooled) > 1 ? ', lowest of each cell' : '';
  const whole = `${shape}, ${range}${lowest}`;
  const lines =
    whole.length * 5.6 <= width
      ? [whole]
      : [shape, ...(range.length * 5.6 <= width + GAP ? [`${range}${lowest}`] : [])];
  return lines.map((line, index) => draw('text', { x, y: y + 13 * index, class: 'block-caption' }, line));
}
