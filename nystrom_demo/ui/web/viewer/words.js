// What the viewer says: titles, legends, the readout of a cell, the notes.

import { gradient } from '../lib/colour.js';
import { make } from '../lib/dom.js';
import { count, decimal, significant } from '../lib/format.js';
import { poolingInWords } from './axes.js';
import { MOST_RINGS } from './grids.js';
import { rowSumOf } from './maps.js';
import { cellDecimals } from './recipe.js';

export function writeWords(view) {
  const { parts, head } = view;
  parts.title.textContent = head.words.title;
  parts.lead.textContent = head.words.lead;
  parts.negativeNote.textContent = head.words.negative;
  parts.rowSumNote.textContent = head.words.row_sums;
  for (const plot of view.plots) plot.box.setAttribute('aria-label', head.words[plot.name]);
  const { n, m } = head;
  const role = (name, size, words) =>
    make(
      'li',
      {},
      make('b', { class: name.replace('_', '-') }, name === 'kernel_2' ? 'kernel_2⁺' : name),
      ` ${size}: ${words}`,
    );
  parts.factorWords.replaceChildren(
    role('kernel_1', `${count(n)} × ${count(m)}`, 'each token’s softmax over the landmarks'),
    role(
      'kernel_2',
      `${count(m)} × ${count(m)}`,
      'the pseudo-inverse of the landmarks’ softmax over each other, with entries of both signs',
    ),
    role('kernel_3', `${count(m)} × ${count(n)}`, 'each landmark’s softmax over the tokens'),
  );
  const labels = { kernel_1: head.words.kernel_1, kernel_2: head.words.kernel_2, kernel_3: head.words.kernel_3 };
  for (const [name, words] of Object.entries(labels)) view.factorCanvases[name].setAttribute('aria-label', words);
}

export function writeLegends(view) {
  const { parts, grids, scales, head } = view;
  const zeros = grids.differenceTop === 0;
  parts.weightBar.style.background = gradient(scales.weight, (share) => Math.sqrt(share));
  parts.weightWords.textContent = `0 to ${significant(grids.top, 2)} and more, one scale for exact and landmark`;
  parts.differenceBar.style.background = gradient(scales.difference, (share) => signedPlace(2 * share - 1));
  parts.differenceWords.textContent = zeros
    ? 'zero everywhere'
    : `−${significant(grids.differenceTop, 2)} landmarks give less · 0 · landmarks give more +${significant(grids.differenceTop, 2)}`;
  parts.marksWords.hidden = !view.options.marks || head.exact;
  parts.lowestWords.textContent = grids.lowest.length === MOST_RINGS ? ` (the lowest ${MOST_RINGS} ringed)` : '';
  const notes = [];
  if (view.options.hide) notes.push('Special tokens are left out, so the rows shown sum to less than their true sums.');
  if (view.options.merge)
    notes.push('A word reads with the mean of its pieces’ rows and is read with the sum of their columns.');
  if (view.options.top < 100)
    notes.push(
      `In each row only the cells that together hold ${view.options.top} % of the shown exact attention are coloured.`,
    );
  parts.notes.textContent = notes.join(' ');
  parts.differenceBar.closest('.map-legend').classList.toggle('zero', zeros || head.exact);
}

/** What a pixel stands for: the picture may be coarser than the cells, and the screen coarser than the picture. */
export function writePooling({ parts, grids, window: shown, plots }) {
  const { side, ratio } = plots[0];
  const pixels = Math.floor(Math.min((shown.span * grids.size) / grids.frame.span, side * ratio));
  parts.pooling.textContent = side ? poolingInWords(Math.round(shown.span), pixels) : '';
}

function signedPlace(value) {
  return 0.5 + 0.5 * Math.sign(value) * Math.sqrt(Math.abs(value));
}

/** Why a cell that is not pointed at is shown. */
function heldInWords({ hover, pinnedByVisitor, head }, difference) {
  if (hover) return '';
  if (pinnedByVisitor)
    return matchMedia('(hover: none)').matches ? ' Held; a tap on it lets go.' : ' Held; Escape lets go.';
  if (head.exact) return ' Here the weight is largest.';
  return difference === 0 ? ' Nowhere do they differ by more.' : ' Here they differ most.';
}

/** One line on the cell under the cursor. The printed difference is that of the printed values. */
export function writeReadout(view) {
  const { parts, cursor, cell, axis, head } = view;
  if (!cell) {
    parts.readout.textContent = cursor ? '' : 'Point at a cell, or focus a map and use the arrow keys.';
    return;
  }
  const [reader, read] = [axis.groups[cursor.row], axis.groups[cursor.column]];
  const decimals = cellDecimals(head.n);
  const [exact, landmark] = [cell.exact, cell.landmark].map((value) => Number(value.toFixed(decimals)));
  const number = (name, value, text) => {
    const node = make('b', { class: `number ${name}` }, text);
    node.dataset.value = value.toFixed(decimals);
    return node;
  };
  parts.readout.replaceChildren(
    make('span', { class: 'reader', dir: 'auto' }, `‹${reader.label}›`),
    ` (${cursor.row + 1}) reads `,
    make('span', { class: 'read', dir: 'auto' }, `‹${read.label}›`),
    ` (${cursor.column + 1}): exact `,
    number('exact', exact, decimal(exact, decimals)),
    ', landmarks ',
    number('landmark', landmark, decimal(landmark, decimals)),
    ', difference ',
    number('difference', landmark - exact, decimal(landmark - exact, decimals, { sign: true })),
    `. Landmark row sum ${decimal(rowSumOf(head, reader), 3)}.`,
    heldInWords(view, landmark - exact),
  );
}
