// The mosaic as files: its cells as SVG in the colours of the page, every head's errors as CSV.

import { wireSaving } from '../lib/export.js';
import { draw, serialised, sheet } from '../lib/svg.js';

const TILE = { width: 52, height: 30, gap: 3, left: 64, top: 64, margin: 16 };

export function wireMosaicExport(mosaic) {
  wireSaving(mosaic.parts.mosaic.querySelectorAll('[data-save]'), {
    name: () => 'nystrom-every-head',
    svg: () => mosaicSvg(mosaic),
    csv: () => mosaicTable(mosaic.value),
  });
}

function mosaicSvg({ value, cells }) {
  const [layers, heads] = ['layer', 'head'].map((name) => 1 + Math.max(...value.heads.map((line) => line[name])));
  const place = (layer, head) => [
    TILE.left + head * (TILE.width + TILE.gap),
    TILE.top + layer * (TILE.height + TILE.gap),
  ];
  const [right, bottom] = place(layers, heads);
  const size = { width: right + TILE.margin, height: bottom + TILE.margin };
  const style = getComputedStyle(document.body);
  const text = { 'font-size': 13, fill: style.color };
  const middle = { 'text-anchor': 'middle', 'dominant-baseline': 'central' };
  const svg = sheet(size.width, size.height, { 'font-family': 'sans-serif' });
  svg.append(draw('rect', { ...size, fill: style.backgroundColor }));
  svg.append(draw('text', { ...text, x: TILE.margin, y: 24 }, 'Error of each head in percent'));
  for (let head = 0; head < heads; head++) {
    svg.append(
      draw('text', { ...text, ...middle, x: place(0, head)[0] + TILE.width / 2, y: TILE.top - 12 }, `${head + 1}`),
    );
  }
  value.heads.forEach(({ layer, head }, index) => {
    const [x, y] = place(layer, head);
    const { backgroundColor, color } = cells[index].style;
    if (head === 0) svg.append(draw('text', { ...text, x: TILE.margin, y: y + 20 }, `layer ${layer + 1}`));
    svg.append(draw('rect', { x, y, width: TILE.width, height: TILE.height, rx: 3, fill: backgroundColor }));
    const centre = { x: x + TILE.width / 2, y: y + TILE.height / 2 };
    svg.append(draw('text', { ...text, ...middle, ...centre, fill: color }, cells[index].textContent));
  });
  return serialised(svg);
}

/** A line a head, layers and heads counted from 1. */
function mosaicTable({ heads }) {
  const names = ['frobenius', 'output', 'negative', 'row_sum_error'];
  const lines = heads.map((line) => [
    line.layer + 1,
    line.head + 1,
    ...names.map((name) => Number(line[name].toPrecision(7))),
  ]);
  return [['layer', 'head', ...names], ...lines].map((line) => line.join(',')).join('\n') + '\n';
}
