// One map's two canvases: the picture with its labels below, the cross of the linked hover above.

import { count } from '../lib/format.js';
import { sumOf } from './head.js';

export const GUTTER = { left: 58, top: 58, right: 16 }; // CSS pixels for row labels, column labels, row sums
export const LABEL_STEP = 12; // a label needs this many pixels
export const MAPS = ['exact', 'landmark', 'difference'];
const RING = 7; // CSS pixels across, round a negative cell too small to see

export function makePlot(figure, name) {
  const box = figure.querySelector('.plot');
  const [base, mark] = ['base', 'mark'].map((kind) => {
    const canvas = document.createElement('canvas');
    canvas.className = kind;
    canvas.setAttribute('aria-hidden', 'true');
    box.append(canvas);
    return canvas;
  });
  return { name, figure, box, base, mark, side: 0 };
}

/** Fits the canvases to the box's width; true when that changed anything. */
export function fitPlot(plot) {
  const width = Math.floor(plot.box.clientWidth);
  const ratio = window.devicePixelRatio || 1;
  if (width === 0 || (plot.width === width && plot.ratio === ratio)) return false;
  const side = width - GUTTER.left - GUTTER.right;
  const height = side + GUTTER.top + 2;
  plot.box.style.height = `${height}px`;
  for (const canvas of [plot.base, plot.mark]) fitCanvas(canvas, width, height, ratio);
  Object.assign(plot, { width, height, ratio, side });
  return true;
}

export function fitCanvas(canvas, width, height, ratio) {
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
}

export function cleanContext(canvas, ratio) {
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  return context;
}

/** The part of the picture that the window shows, then labels and row sums. */
export function drawBase(plot, view) {
  if (!plot.side) return;
  const context = cleanContext(plot.base, plot.ratio);
  const { left, top } = GUTTER;
  const { grids, window: shown } = view;
  const scale = grids.size / grids.frame.span; // picture pixels a group
  const [x, y] = [(shown.column - grids.frame.column) * scale, (shown.row - grids.frame.row) * scale];
  const taken = shown.span * scale;
  context.imageSmoothingEnabled = taken > plot.side * plot.ratio;
  context.imageSmoothingQuality = 'high';
  context.drawImage(view.pictures[plot.name], x, y, taken, taken, left, top, plot.side, plot.side);
  context.strokeStyle = view.colours.line;
  context.lineWidth = 1;
  context.strokeRect(left - 0.5, top - 0.5, plot.side + 1, plot.side + 1);
  drawLabels(context, plot, view);
  if (plot.name !== 'landmark' || !view.options.marks) return;
  drawRings(context, plot, view);
  drawRowSums(context, plot, view);
}

function drawLabels(context, plot, view) {
  const { window: shown, axis, colours } = view;
  const cell = plot.side / shown.span;
  const step = cell >= LABEL_STEP ? 1 : niceStep(LABEL_STEP / cell, shown.span);
  context.font = `11px ${view.fonts.text}`;
  context.textBaseline = 'middle';
  for (const way of ['row', 'column']) {
    const start = Math.floor(shown[way]);
    for (let group = start; group < shown[way] + shown.span && group < axis.size; group++) {
      if (step > 1 && group > 0 && (group + 1) % step) continue;
      const place = (group + 0.5 - shown[way]) * cell;
      if (place < 0 || place > plot.side) continue;
      context.fillStyle = colours.quiet;
      if (step === 1) writeLabel(context, way, axis.groups[group].label, place);
      else writeNumber(context, way, count(group + 1), place);
    }
  }
  context.fillStyle = colours.quiet;
  context.font = `10px ${view.fonts.text}`;
  context.textAlign = 'right';
  context.fillText('is read →', GUTTER.left - 10, GUTTER.top - 26);
  context.fillText('reads ↓', GUTTER.left - 10, GUTTER.top - 13);
}

function writeLabel(context, way, label, place) {
  context.save();
  if (way === 'row') {
    context.textAlign = 'right';
    context.fillText(shortened(context, label, GUTTER.left - 8), GUTTER.left - 5, GUTTER.top + place);
  } else {
    context.translate(GUTTER.left + place, GUTTER.top - 5);
    context.rotate(-Math.PI / 2);
    context.textAlign = 'left';
    context.fillText(shortened(context, label, GUTTER.top - 8), 0, 0);
  }
  context.restore();
}

/** A number beside the map's edge, level on either side. */
function writeNumber(context, way, text, place) {
  context.textAlign = way === 'row' ? 'right' : 'center';
  if (way === 'row') context.fillText(text, GUTTER.left - 5, GUTTER.top + place);
  else context.fillText(text, GUTTER.left + Math.max(place, 3), GUTTER.top - 9);
}

function niceStep(least, span) {
  const steps = [5, 10, 20, 50, 100, 200, 500, 1000, 2000];
  return steps.find((step) => step >= least * 2 && span / step <= 8) || span;
}

function shortened(context, label, room) {
  if (context.measureText(label).width <= room) return label;
  let text = label;
  while (text.length > 1 && context.measureText(text + '…').width > room) text = text.slice(0, -1);
  return text + '…';
}

/** Rings round the lowest negative cells, where a cell is smaller than its ring: red alone drowns among warm colours. */
function drawRings(context, plot, view) {
  const { window: shown, grids, colours } = view;
  const share = grids.frame.span / grids.size; // groups a picture's pixel
  const cell = (plot.side / shown.span) * share;
  if (cell >= RING) return;
  for (const [width, colour] of [
    [3, colours.halo],
    [1.5, colours.negative],
  ]) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    for (const index of grids.lowest) {
      const place = (way, at) => ((grids.frame[way] + (at + 0.5) * share - shown[way]) / shown.span) * plot.side;
      const [x, y] = [place('column', index % grids.size), place('row', Math.floor(index / grids.size))];
      if (x < 0 || x > plot.side || y < 0 || y > plot.side) continue;
      context.strokeRect(GUTTER.left + x - RING / 2, GUTTER.top + y - RING / 2, RING, RING);
    }
  }
}

/** Beside each row a bar from the middle line: right where the row sums to more than one, left where to less. */
function drawRowSums(context, plot, view) {
  const { window: shown, axis, head, colours } = view;
  const cell = plot.side / shown.span;
  const middle = GUTTER.left + plot.side + GUTTER.right / 2 + 1;
  const reach = GUTTER.right / 2 - 2;
  context.fillStyle = colours.line;
  context.fillRect(middle - 0.5, GUTTER.top, 1, plot.side);
  context.fillStyle = colours.negative;
  for (let group = Math.floor(shown.row); group < shown.row + shown.span; group++) {
    const off = rowSumOf(head, axis.groups[group]) - 1;
    const length = Math.sign(off) * Math.min(1, Math.abs(off) / view.rowSumReach) * reach;
    const y = GUTTER.top + (group - shown.row) * cell;
    if (y + cell > GUTTER.top && y < GUTTER.top + plot.side)
      context.fillRect(middle, y, length, Math.max(1, cell - 0.5));
  }
}

export function rowSumOf(head, group) {
  return sumOf(group.tokens.map((t) => head.rowSums[t])) / group.tokens.length;
}

/** The linked cross: row and column bands, their labels, the cell. `dataset` says what is lit, for tests and styles. */
export function drawMark(plot, view) {
  if (!plot.side) return;
  const context = cleanContext(plot.mark, plot.ratio);
  const { cursor, window: shown, colours } = view;
  plot.mark.dataset.row = cursor?.row ?? '';
  plot.mark.dataset.column = cursor?.column ?? '';
  if (!cursor) return;
  const cell = Math.max(plot.side / shown.span, 3);
  const middle = (way) => (cursor[way] + 0.5 - shown[way]) * (plot.side / shown.span);
  for (const way of ['row', 'column']) {
    if (cursor[way] === null || middle(way) < 0 || middle(way) > plot.side) continue;
    const from = middle(way) - cell / 2;
    drawBand(context, plot, way, from, cell, colours[way]);
    drawChip(context, view, way, view.axis.groups[cursor[way]].label, middle(way));
  }
  if (cursor.row === null || cursor.column === null) return;
  context.strokeStyle = colours.ink;
  context.lineWidth = view.hover ? 1.5 : 2.5;
  const [x, y] = [GUTTER.left + middle('column') - cell / 2, GUTTER.top + middle('row') - cell / 2];
  context.strokeRect(x - 0.5, y - 0.5, cell + 1, cell + 1);
}

function drawBand(context, plot, way, from, thickness, colour) {
  const { left, top } = GUTTER;
  context.save();
  context.beginPath();
  context.rect(left, top, plot.side, plot.side);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  if (way === 'row') context.strokeRect(left - 4, top + from - 0.5, plot.side + 8, thickness + 1);
  else context.strokeRect(left + from - 0.5, top - 4, thickness + 1, plot.side + 8);
  context.restore();
}

/** The lit token's label on a chip in the gutter. */
function drawChip(context, view, way, label, place) {
  context.save();
  context.font = `600 11px ${view.fonts.text}`;
  context.textBaseline = 'middle';
  if (way === 'row') context.translate(0, GUTTER.top + place);
  else {
    context.translate(GUTTER.left + place, GUTTER.top);
    context.rotate(-Math.PI / 2);
  }
  const room = way === 'row' ? GUTTER.left : GUTTER.top;
  const text = shortened(context, label, room - 10);
  const width = context.measureText(text).width + 8;
  context.fillStyle = view.colours[way];
  context.beginPath();
  context.roundRect(way === 'row' ? GUTTER.left - 2 - width : 2, -8, width, 16, 3);
  context.fill();
  context.fillStyle = view.colours.chipText;
  context.textAlign = way === 'row' ? 'right' : 'left';
  context.fillText(text, way === 'row' ? GUTTER.left - 6 : 6, 0.5);
  context.restore();
}

/** The cell {row, column} under a pointer event, or null beside the picture. */
export function cellAt(plot, view, event) {
  const bounds = plot.mark.getBoundingClientRect();
  const x = (event.clientX - bounds.left - GUTTER.left) / plot.side;
  const y = (event.clientY - bounds.top - GUTTER.top) / plot.side;
  if (x < 0 || x >= 1 || y < 0 || y >= 1) return null;
  const { window: shown, axis } = view;
  return {
    row: Math.min(axis.size - 1, Math.floor(shown.row + y * shown.span)),
    column: Math.min(axis.size - 1, Math.floor(shown.column + x * shown.span)),
    x,
    y,
  };
}
