// The landmark map as the product of its factors, drawn to scale: map = kernel_1 · kernel_2⁺ · kernel_3.

import { cleanContext, fitCanvas } from './maps.js';

export const FACTORS = ['product', 'kernel_1', 'kernel_2', 'kernel_3'];
const FACTOR_GAP = 20; // room for = and ·
const LEAST_SIDE = 10;

/** Sizes in CSS pixels, to scale: the map's side is n, a factor's short side m. */
function factorSizes(width, share) {
  const room = width - 3 * FACTOR_GAP - 8;
  const side = Math.min(300, Math.floor(room / (2 + 2 * share)));
  const short = Math.max(LEAST_SIDE, Math.round(side * share));
  return {
    product: [side, side],
    kernel_1: [short, side],
    kernel_2: [short, short],
    kernel_3: [side, short],
  };
}

export function fitFactors(view) {
  if (!view.room || !view.head) return;
  const ratio = window.devicePixelRatio || 1;
  const sizes = factorSizes(view.room, view.head.m / view.head.n);
  for (const name of FACTORS) {
    fitCanvas(view.factorCanvases[name], ...sizes[name], ratio);
    Object.assign(view.factorCanvases[name], { shownWidth: sizes[name][0], shownHeight: sizes[name][1], ratio });
  }
}

/** All four pictures with what is lit: row i of kernel_1, column j of kernel_3, the landmark in all three. */
export function drawFactors(view) {
  if (!view.factorPictures) return;
  const { cursor, axis, head, colours } = view;
  const landmark = view.pointedLandmark ?? view.landmark;
  const atRow = cursor?.row == null ? null : (cursor.row + 0.5) / axis.size;
  const atColumn = cursor?.column == null ? null : (cursor.column + 0.5) / axis.size;
  const atLandmark = (landmark + 0.5) / head.m;
  const lit = {
    product: { row: [atRow, colours.row], column: [atColumn, colours.column] },
    kernel_1: { row: [atRow, colours.row], column: [atLandmark, colours.ink] },
    kernel_2: { row: [atLandmark, colours.ink], column: [atLandmark, colours.ink] },
    kernel_3: { row: [atLandmark, colours.ink], column: [atColumn, colours.column] },
  };
  for (const name of FACTORS) drawFactor(view.factorCanvases[name], view.factorPictures[name], lit[name], head, axis);
}

function drawFactor(canvas, picture, lit, head, axis) {
  const context = cleanContext(canvas, canvas.ratio || 1);
  const [width, height] = [canvas.shownWidth, canvas.shownHeight];
  if (!width) return;
  context.imageSmoothingEnabled = picture.width > width * canvas.ratio || picture.height > height * canvas.ratio;
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, 0, 0, width, height);
  for (const way of ['row', 'column']) {
    const [place, colour] = lit[way];
    canvas.dataset[way] = place === null ? '' : place.toFixed(5);
    if (place === null) continue;
    const [along, across] = way === 'row' ? [width, height] : [height, width];
    const thick = Math.max(across / (way === 'row' ? sizeDown(canvas, head, axis) : sizeAcross(canvas, head, axis)), 3);
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    const from = Math.min(Math.max(place * across - thick / 2, 0.75), across - thick - 0.75);
    if (way === 'row') context.strokeRect(0.75, from, along - 1.5, thick);
    else context.strokeRect(from, 0.75, thick, along - 1.5);
  }
}

function sizeDown(canvas, head, axis) {
  return ['product', 'kernel_1'].includes(canvas.dataset.factor) ? axis.size : head.m;
}

function sizeAcross(canvas, head, axis) {
  return ['product', 'kernel_3'].includes(canvas.dataset.factor) ? axis.size : head.m;
}

/** What a pointer over a factor points at: {row, column, landmark}, each a number or null. */
export function factorPlace(canvas, view, event) {
  const bounds = canvas.getBoundingClientRect();
  const share = (value, size, count) => Math.min(count - 1, Math.max(0, Math.floor((value / size) * count)));
  const across = share(event.clientX - bounds.left, bounds.width, sizeAcross(canvas, view.head, view.axis));
  const down = share(event.clientY - bounds.top, bounds.height, sizeDown(canvas, view.head, view.axis));
  const name = canvas.dataset.factor;
  if (name === 'product') return { row: down, column: across, landmark: null };
  if (name === 'kernel_1') return { row: down, column: view.pinned?.column ?? null, landmark: across };
  if (name === 'kernel_3') return { row: view.pinned?.row ?? null, column: across, landmark: down };
  return { row: null, column: null, landmark: down };
}
