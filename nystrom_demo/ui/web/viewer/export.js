// The maps, the factors and the text as files: SVG of what shows, CSV of the numbers.

import { isDark } from '../lib/colour.js';
import { drawnAgain } from '../lib/drawing.js';
import { csvField, wireSaving } from '../lib/export.js';
import { count } from '../lib/format.js';
import { draw, serialised, sheet } from '../lib/svg.js';
import { lensOf } from './lens.js';
import { LABEL_STEP, MAPS } from './maps.js';

const SAVED = { side: 480, gap: 40, top: 64, labels: 60 };

export function wireExport(view) {
  const drawn = (part, words) => drawnAgain(view.root.querySelector(part), view.parts[words].textContent);
  wireMenu(view, 'maps', '', { svg: () => mapsSvg(view), csv: () => mapsTable(view) });
  wireMenu(view, 'factors', '-factors', { svg: () => drawn('.product', 'recipeTitle'), csv: () => factorsTable(view) });
  wireMenu(view, 'text', '-text', { svg: () => drawn('.lens', 'lensWords'), csv: () => textTable(view) });
}

function wireMenu(view, menu, ending, { svg, csv }) {
  const name = () => `nystrom-layer-${view.head.layer + 1}-head-${view.head.head + 1}-m-${view.head.m}${ending}`;
  wireSaving(view.root.querySelectorAll(`[data-menu="${menu}"] [data-save]`), { name, svg, csv });
}

/** The three maps side by side with title, names and, where they fit, token labels. */
function mapsSvg(view) {
  const { side, gap, top, labels } = SAVED;
  const step = side + gap + labels;
  const [width, height] = [MAPS.length * step, top + labels + side + gap];
  const svg = sheet(width, height, { 'font-family': 'sans-serif' });
  svg.append(draw('rect', { width, height, fill: isDark() ? view.palette.ground.dark : view.palette.ground.light }));
  const words = `${view.head.words.title}: ${count(view.head.m)} landmarks for ${count(view.head.n)} tokens`;
  svg.append(draw('text', { x: labels, y: 28, 'font-size': 20, fill: view.colours.ink }, words));
  MAPS.forEach((name, index) => {
    const [x, y] = [index * step + labels, top + labels];
    const caption = view.root.querySelector(`[data-map="${name}"] figcaption`).textContent.trim().replace(/\s+/g, ' ');
    svg.append(draw('text', { x, y: top - 8, 'font-size': 14, fill: view.colours.ink }, caption));
    const href = shownPart(view, name).toDataURL();
    svg.append(draw('image', { x, y, width: side, height: side, href, style: 'image-rendering: pixelated' }));
    svg.append(draw('rect', { x, y, width: side, height: side, fill: 'none', stroke: view.colours.line }));
    if (view.window.span <= side / LABEL_STEP) labelSvg(svg, view, x, y);
  });
  return serialised(svg);
}

function labelSvg(svg, view, x, y) {
  const { window: shown, axis, colours } = view;
  const cell = SAVED.side / shown.span;
  const style = { 'font-size': 10, fill: colours.quiet, 'dominant-baseline': 'middle' };
  for (let group = 0; group < axis.size; group++) {
    const label = axis.groups[group].label.slice(0, 10);
    const [across, down] = ['column', 'row'].map((way) => (group + 0.5 - shown[way]) * cell);
    if (down > 0 && down < SAVED.side)
      svg.append(draw('text', { ...style, x: x - 5, y: y + down, 'text-anchor': 'end' }, label));
    if (across > 0 && across < SAVED.side)
      svg.append(draw('text', { ...style, transform: `translate(${x + across} ${y - 5}) rotate(-90)` }, label));
  }
}

/** A canvas of the pixels that the window shows. */
function shownPart(view, name) {
  const { grids, window: shown } = view;
  const scale = grids.size / grids.frame.span;
  const [x, y] = [(shown.column - grids.frame.column) * scale, (shown.row - grids.frame.row) * scale];
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = Math.max(1, Math.round(shown.span * scale));
  canvas.getContext('2d').drawImage(view.pictures[name], -x, -y);
  return canvas;
}

/** One line a pixel of the grids in hand: its tokens, from 1, and its three values. */
function mapsTable({ grids, axis }) {
  const { size, frame } = grids;
  const bins = ['row', 'column'].map((way) =>
    Array.from({ length: size }, (_, bin) => binOfGroups(axis, frame[way], frame.span, size, bin)),
  );
  const lines = ['reader,reader_label,read,read_label,exact,landmark,difference'];
  for (let i = 0; i < size * size; i++) {
    const [reader, read] = [bins[0][Math.floor(i / size)], bins[1][i % size]];
    const values = MAPS.map((name) => grids[name][i].toPrecision(7));
    lines.push([...reader, ...read, ...values].join(','));
  }
  return lines.join('\n') + '\n';
}

/** [number or range of numbers, label] of the groups behind a pixel, as CSV fields. */
function binOfGroups(axis, start, span, size, bin) {
  const first = start + Math.ceil((bin * span) / size);
  const last = start + Math.ceil(((bin + 1) * span) / size) - 1;
  const label = axis.groups[first].label + (last > first ? ` … ${axis.groups[last].label}` : '');
  return [last > first ? `${first + 1}-${last + 1}` : first + 1, csvField(label)];
}

/** Every entry of the three factors, from 1. */
function factorsTable({ head }) {
  const { n, m } = head;
  const lines = ['factor,row,column,value'];
  const shapes = [
    ['kernel_1', n, m],
    ['kernel_2_inv', m, m],
    ['kernel_3', m, n],
  ];
  for (const [name, rows, columns] of shapes)
    for (let i = 0; i < rows * columns; i++)
      lines.push(`${name},${Math.floor(i / columns) + 1},${(i % columns) + 1},${head[name][i].toPrecision(7)}`);
  return lines.join('\n') + '\n';
}

/** One line a token, from 1: its landmark and the two values that colour it. */
function textTable(view) {
  const { head } = view;
  const { mode, exact, landmark, gathers, readBy } = lensOf(view);
  const columns =
    mode === 'token'
      ? { read_exactly: exact, read_through_landmarks: landmark }
      : { gathered: gathers, reads_it: readBy };
  const lines = [`token,label,landmark,${Object.keys(columns).join(',')}`];
  head.tokens.forEach(({ label }, t) => {
    const values = Object.values(columns).map((each) => each[t].toPrecision(7));
    lines.push([t + 1, csvField(label), head.segments[t] + 1, ...values].join(','));
  });
  return lines.join('\n') + '\n';
}
