// The text itself, coloured: by segment, by what a landmark gathers and who reads it, by what a token reads.

import { product } from '../engine.js';
import { make } from '../lib/dom.js';
import { count, decimal } from '../lib/format.js';
import { everyToken } from './axes.js';
import { exactGrid, pooledKernel1, readersOf } from './head.js';
import { cellDecimals, landmarkName } from './recipe.js';

/** A panel of clickable tokens; `heard(token, chosen)` hears which one is pointed at (null: none) or chosen. */
export function fillText(panel, head, heard) {
  const spans = head.tokens.map((token, t) => {
    const span = make('span', { class: token.special ? 'token special' : 'token', 'data-token': t }, token.text);
    if (token.special) span.dir = 'ltr'; // it says nothing of the direction of the text
    return span;
  });
  panel.replaceChildren(...spans);
  panel.dir = 'auto';
  panel.spans = spans;
  if (panel.wired) panel.heard = heard;
  else wireText(panel, heard);
}

function wireText(panel, heard) {
  panel.wired = true;
  panel.heard = heard;
  const tokenOf = (event) => {
    const span = event.target.closest('.token');
    return span && panel.contains(span) ? Number(span.dataset.token) : null;
  };
  panel.addEventListener('pointermove', (event) => panel.heard(tokenOf(event), false));
  panel.addEventListener('pointerleave', () => panel.heard(null, false));
  panel.addEventListener('click', (event) => {
    const token = tokenOf(event);
    if (token !== null) panel.heard(token, true);
  });
}

/** Neighbouring segments in different tints, the chosen one framed. */
export function colourSegments(panel, head, landmark, palette) {
  panel.spans.forEach((span, t) => {
    const segment = head.segments[t];
    const colour = palette.segments[segment % palette.segments.length];
    span.style.backgroundColor = `${colour}38`;
    span.classList.toggle('chosen', segment === landmark);
  });
}

/** Values as heat in `colour`, on a scale that ends at the largest; negative ones in `negative`. */
export function colourValues(panel, values, colour, negative) {
  let top = 0;
  for (const value of values) top = Math.max(top, Math.abs(value));
  panel.spans.forEach((span, t) => {
    const share = top > 0 ? (Math.abs(values[t]) / top) ** 0.7 : 0;
    const alpha = Math.round(share * 150)
      .toString(16)
      .padStart(2, '0');
    span.style.backgroundColor = `${values[t] < 0 ? negative : colour}${alpha}`;
    span.title = decimal(values[t], cellDecimals(values.length));
  });
}

/** Row `token` of both maps over the tokens. */
function tokenAttention(head, token) {
  const rows = oneToken(head.n, token);
  const columns = everyToken(head.n);
  const exact = exactGrid(head, rows, columns);
  if (head.exact) return { exact, landmark: exact };
  const readers = readersOf(head, pooledKernel1(head, rows), 1);
  return { exact, landmark: product(readers, head.kernel_3, 1, head.m, head.n) };
}

function oneToken(n, token) {
  const bin = new Int32Array(n).fill(-1);
  bin[token] = 0;
  return { bins: 1, bin, weight: new Float64Array(n).fill(1), tokens: [token] };
}

/** What a landmark gathers, its row of kernel_3, and each token's share for it, its column of kernel_1. */
function landmarkAttention(head, landmark) {
  if (head.exact) {
    const gathers = new Float64Array(head.n);
    gathers[landmark] = 1;
    return { gathers, readBy: exactGrid(head, everyToken(head.n), oneToken(head.n, landmark)) };
  }
  const { n, m, kernel_1, kernel_3 } = head;
  return {
    gathers: kernel_3.subarray(landmark * n, (landmark + 1) * n),
    readBy: Float64Array.from({ length: n }, (_, t) => kernel_1[t * m + landmark]),
  };
}

/** The largest values in words: "‹cat› 0.213, ‹mat› 0.120, ‹the› 0.080". */
export function largestInWords(values, head, count = 3) {
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
  return order
    .slice(0, count)
    .map((t) => `‹${head.tokens[t].label}› ${decimal(values[t], 3)}`)
    .join(', ');
}

export function lensMode(view) {
  return view.parts.lensToken.checked ? 'token' : 'landmark';
}

export function setLensMode(view, mode) {
  view.parts[mode === 'token' ? 'lensToken' : 'lensLandmark'].checked = true;
}

/**
 * What the lens looks at: a token or a landmark, the one pointed at before the chosen one, and its two values a token:
 * what a token reads in either map, or what a landmark gathers and who reads it.
 * @typedef {{mode: string, place: number, exact?: Float64Array, landmark?: Float64Array, gathers?: Float64Array,
 *   readBy?: Float64Array}} Lens
 * @returns {Lens}
 */
export function lensOf(view) {
  const { head } = view;
  const mode = lensMode(view);
  const place = (mode === 'token' ? view.pointedToken : view.pointedLandmark) ?? view[mode];
  if (mode === 'landmark') return { mode, place, ...landmarkAttention(head, place) };
  return { mode, place, ...tokenAttention(head, place) };
}

export function drawLens(view) {
  if (!view.head || !view.parts.segmentsText.spans) return;
  const { parts, head } = view;
  const lens = lensOf(view);
  const { mode, place } = lens;
  parts.chooser.max = (mode === 'token' ? head.n : head.m) - 1;
  parts.chooser.value = view[mode];
  parts.chooserName.textContent = mode === 'token' ? 'Token' : 'Landmark';
  const name = mode === 'token' ? `${place + 1} · ${head.tokens[place].label}` : landmarkName(view, place);
  parts.chooserValue.textContent = `${name} (of ${count(mode === 'token' ? head.n : head.m)})`;
  parts.chooser.setAttribute('aria-valuetext', name);
  parts.segmentsTitle.textContent = `The text in ${count(head.m)} segments, one a landmark`;
  colourSegments(parts.segmentsText, head, mode === 'token' ? head.segments[place] : place, view.palette);
  if (mode === 'token') drawTokenLens(view, lens);
  else drawLandmarkLens(view, lens);
}

/** @param {any} view @param {Lens} lens */
function drawTokenLens(view, { place, exact, landmark }) {
  const { parts, head, palette } = view;
  const label = head.tokens[place].label;
  parts.firstTitle.textContent = `‹${label}› reads, exactly`;
  parts.secondTitle.textContent = `‹${label}› reads, through landmarks`;
  colourValues(parts.firstText, exact, palette.roles.exact, palette.roles.negative);
  colourValues(parts.secondText, landmark, palette.roles.landmark, palette.roles.negative);
  parts.lensWords.textContent =
    `‹${label}› reads most from ${largestInWords(exact, head)} exactly, ` +
    `and from ${largestInWords(landmark, head)} through landmarks.`;
}

/** @param {any} view @param {Lens} lens */
function drawLandmarkLens(view, { place, gathers, readBy }) {
  const { parts, head, palette } = view;
  parts.firstTitle.textContent = `Landmark ${place + 1} gathers from (its row of kernel_3)`;
  parts.secondTitle.textContent = `Landmark ${place + 1} is read by (its column of kernel_1)`;
  colourValues(parts.firstText, gathers, palette.roles.kernel_3, palette.roles.negative);
  colourValues(parts.secondText, readBy, palette.roles.kernel_1, palette.roles.negative);
  parts.lensWords.textContent =
    `Landmark ${place + 1} gathers most from ${largestInWords(gathers, head)}, ` +
    `and is read most by ${largestInWords(readBy, head)}.`;
}

/** The tokens of the lit row and column framed in the text. */
export function lightTokens(view) {
  const { spans } = view.parts.segmentsText;
  if (!spans) return;
  for (const { span, name } of view.litSpans ?? []) span.classList.remove(name);
  view.litSpans = [];
  for (const way of ['row', 'column']) {
    const group = view.cursor?.[way] == null ? null : view.axis.groups[view.cursor[way]];
    for (const t of group?.tokens ?? []) {
      const lit = { span: spans[t], name: `lit-${way}` };
      lit.span.classList.add(lit.name);
      view.litSpans.push(lit);
    }
  }
}
