// The right part of the tour: one SVG laid out to the width there is, its readings, its exports.

import { colourTable } from '../lib/colour.js';
import { make } from '../lib/dom.js';
import { wireSaving } from '../lib/export.js';
import { draw, serialised } from '../lib/svg.js';
import { drawMatrix, GAP } from './cells.js';
import { chartName, drawBars, drawChart } from './chart.js';
import { standalone, tableOf } from './export.js';
import { tieTerms } from './lighting.js';
import { turnPages } from './turning.js';
import { drawWords } from './words.js';
import { drawYardsticks } from './yardsticks.js';

const LABELS = 20 + 32; // a name above and up to two caption lines below a matrix
const THIN = 26; // thinner sides are drawn this wide, and their captions say so
const SLOT = 62; // what a thin matrix takes with its caption

/**
 * What the painters of a scene share: the scene, the component's element, where its tip is, and the colours.
 * @typedef {{scene: any, element: any, tables: Record<string, Uint32Array>, segments: number}} Stage
 */

/** @param {import('../lib/component.js').Component} tour */
export function start(tour) {
  const { element, props, watch } = tour;
  tieTerms(element.closest('#learn') || element);
  watch('value', () => drawPicture(tour));
  wireSaving(element.querySelectorAll('.takeaway button'), {
    name: () => `nystrom-${props.value.name}`,
    svg: () => serialised(standalone(element)),
    csv: () => tableOf(props.value, element),
  });
  drawPicture(tour);
  redrawWhenSized(tour);
}

function drawPicture(tour) {
  const { element, palette } = tour;
  const scene = tour.props.value;
  const sheet = element.querySelector('.learn-picture');
  if (!scene) return;
  const width = Math.max(Math.floor(sheet.clientWidth), 280);
  const picture = draw('svg', {
    width,
    class: 'picture',
    'data-step': scene.index,
    role: 'group',
    'aria-label': `Picture: ${scene.title}`,
  });
  const tables = { signed: colourTable(palette.diverging), weights: colourTable(palette.sequential) };
  const stage = { scene, element, tables, segments: palette.segments.length };
  let y = 0;
  for (const row of scene.rows) y = drawRow(stage, row, width, y, picture) + GAP;
  picture.setAttribute('height', Math.max(y - GAP, 1));
  picture.setAttribute('viewBox', `0 0 ${width} ${Math.max(y - GAP, 1)}`);
  sheet.replaceChildren(picture);
  element.querySelector('.learn-note').textContent = scene.note || scene.error || '';
  element.querySelector('.learn-summary').replaceChildren(...summaryOf(scene));
  element.querySelector('.learn-readings').replaceChildren(...readingsOf(scene));
  element.querySelector('.takeaway').hidden = !scene.rows.length;
  element.querySelector('.learn-turn').replaceChildren(...turnPages(tour, scene));
}

function summaryOf(scene) {
  return scene.summary ? [make('span', { class: 'secret' }, scene.summary)] : [];
}

function readingsOf(scene) {
  return scene.readings.map((reading) =>
    make('div', { class: reading.secret ? 'secret' : '' }, make('dt', {}, reading.name), make('dd', {}, reading.text)),
  );
}

/** @param {Stage} stage */
function drawRow(stage, row, width, y, picture) {
  const kinds = new Set(row.map((block) => block.kind));
  if (kinds.has('matrix')) return drawMatrices(stage, row, width, y, picture);
  const painters = { chart: drawChart, bars: drawBars, words: drawWords, yardsticks: drawYardsticks };
  const columns = Math.max(1, Math.min(row.length, Math.floor((width + GAP) / 280)));
  const size = (width - GAP * (columns - 1)) / columns;
  let bottom = y - GAP;
  for (let first = 0; first < row.length; first += columns) {
    const top = bottom + GAP;
    const line = row.slice(first, first + columns).map((block, index) => {
      const drawn = painters[block.kind](stage, block, { x: index * (size + GAP), y: top, width: size });
      picture.append(drawn.group, ...hiddenPlate(block, index * (size + GAP), top, size, drawn.bottom - top - 8));
      return drawn.bottom;
    });
    bottom = Math.max(...line);
  }
  return bottom;
}

/**
 * Matrices of a row share one size of cell, so that their shapes are those of the product; a row too wide for the page is
 * broken into lines.
 */
function drawMatrices(stage, row, width, y, picture) {
  const matrices = row.filter((block) => block.kind === 'matrix');
  const longest = Math.max(...matrices.map((block) => Math.max(...block.shape)));
  const small = matrices.every((block) => block.small);
  const square = matrices.some((block) => Math.min(...block.shape) > 0.5 * longest);
  const most = small
    ? Math.max(92, Math.min(130, width / 5))
    : Math.max(170, Math.min(square ? 280 : 190, 0.4 * width));
  const ideal = most / longest;
  const lines = breakRow(row, ideal, width);
  const scale = Math.min(...lines.map((line) => fitting(line, ideal, width)));
  let top = y;
  for (const line of lines) {
    let x = 0;
    const height = Math.max(...line.map((block) => (block.kind === 'matrix' ? sideOf(block.shape[0], scale) : 0)));
    for (const block of line) {
      const size = widthOf(block, scale);
      if (block.kind === 'sign') {
        const at = { x: x + size / 2, y: top + 26 + Math.min(height, 120) / 2, class: 'sign middle' };
        picture.append(draw('text', { ...at, class: `sign middle${block.secret ? ' secret' : ''}` }, block.text));
      } else {
        const place = { x, y: top, width: sideOf(block.shape[1], scale), height: sideOf(block.shape[0], scale) };
        const thin = Math.min(...block.shape) * scale < Math.min(place.width, place.height) - 0.5;
        picture.append(drawMatrix(stage, block, { ...place, slot: size, thin }));
        picture.append(...hiddenPlate(block, x, top + 20, place.width, place.height));
      }
      x += size + GAP;
    }
    top += height + LABELS + (lines.length > 1 ? 10 : 0);
  }
  return top;
}

function sideOf(count, scale) {
  return count === 1 ? 14 : Math.max(count * scale, THIN);
}

function widthOf(block, scale) {
  return block.kind === 'sign'
    ? 12 + 7 * block.text.length
    : Math.max(sideOf(block.shape[1], scale), SLOT, 9 * block.name.length);
}

function lineWidth(line, scale) {
  return line.reduce((sum, block) => sum + widthOf(block, scale), GAP * (line.length - 1));
}

function breakRow(row, scale, width) {
  const lines = [[]];
  for (const block of row) {
    if (lines.at(-1).length && lineWidth([...lines.at(-1), block], scale) > width) lines.push([]);
    lines.at(-1).push(block);
  }
  if (lines.length > 1 && lineWidth(row, 0.72 * scale) <= width) return [row];
  if (!row.every((block) => block.small)) return lines;
  // Equal pictures stand in equal lines: twelve heads as three fours, not as five, five and two.
  const each = Math.ceil(row.length / lines.length);
  return lines.map((_, index) => row.slice(index * each, (index + 1) * each)).filter((line) => line.length);
}

function fitting(line, ideal, width) {
  let scale = ideal;
  while (scale > 0.02 && lineWidth(line, scale) > width) scale *= 0.96;
  return scale;
}

function hiddenPlate(block, x, y, width, height) {
  if (!block.secret) return [];
  const plate = draw('g', { class: 'plate' }, draw('rect', { x, y, width, height, rx: 3 }));
  const middle = { x: x + width / 2, class: 'middle' };
  if (width > 70) plate.append(draw('text', { ...middle, y: y + height / 2 + 4 }, 'predict first'));
  if (width > 200) plate.append(chartName(block.name, x + GAP, y + GAP, width - GAP));
  return [plate];
}

function redrawWhenSized(tour) {
  let before = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now && now !== before) {
      before = now;
      drawPicture(tour);
    }
  }).observe(tour.element.querySelector('.learn-picture'));
}
