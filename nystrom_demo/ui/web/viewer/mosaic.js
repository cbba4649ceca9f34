// The mosaic: a button a head, coloured by its error. Choosing one tells the server, pointing at one does not.

import { gradient, isDark, scalesOf, TABLE } from '../lib/colour.js';
import { make, partsOf } from '../lib/dom.js';
import { count, decimal, percent } from '../lib/format.js';
import { wireMosaicExport } from './mosaic_export.js';

const DEEPEST = 0.86; // of the colour scale: the largest error stays apart from black and white

/** @param {import('../lib/component.js').Component} component */
export function start({ element, props, watch, fire, palette }) {
  const mosaic = makeMosaic(element, palette, fire.choose);
  const show = () => showMosaic(mosaic, props.value ? JSON.parse(props.value) : null);
  show();
  watch('value', show);
}

function makeMosaic(root, palette, choose) {
  const parts = partsOf(root);
  const mosaic = { parts, palette, choose, value: null, chosen: null, cells: [] };
  parts.grid.addEventListener('keydown', (event) => moveOnMosaic(mosaic, event));
  wireMosaicExport(mosaic);
  let dark = isDark();
  new MutationObserver(() => {
    if (isDark() !== dark) colourMosaic(mosaic);
    dark = isDark();
  }).observe(document.body, { attributes: true, attributeFilter: ['class'] });
  return mosaic;
}

/** value: {heads: [{layer, head, frobenius, output, negative, row_sum_error}], chosen: [layer, head], lead, n}, or null. */
function showMosaic(mosaic, value) {
  if (!value) return clearMosaic(mosaic);
  const { parts } = mosaic;
  mosaic.value = value;
  mosaic.chosen = value.chosen.join();
  parts.lead.textContent = value.lead;
  const heads = value.heads.filter(({ layer }) => layer === value.heads[0].layer).length;
  const shape = `${value.heads.length}/${heads}`;
  if (mosaic.shape !== shape) buildMosaic(mosaic, heads);
  mosaic.shape = shape;
  colourMosaic(mosaic);
  readMosaic(mosaic, null);
}

/** What is shown belongs to another text once there is nothing to show. */
function clearMosaic(mosaic) {
  const { parts } = mosaic;
  Object.assign(mosaic, { value: null, chosen: null, cells: [], shape: null });
  parts.grid.replaceChildren();
  parts.lead.textContent = parts.readout.textContent = '';
  parts.legend.hidden = parts.takeaway.hidden = true;
}

function buildMosaic(mosaic, heads) {
  const { parts, value } = mosaic;
  parts.grid.style.gridTemplateColumns = `auto repeat(${heads}, minmax(0, 1fr))`;
  const names = Array.from({ length: heads }, (_, h) => make('span', { class: 'name head' }, String(h + 1)));
  parts.grid.replaceChildren(make('span', { class: 'name' }, 'head'), ...names);
  mosaic.cells = value.heads.map(({ layer, head }, index) => {
    if (head === 0) parts.grid.append(make('span', { class: 'name' }, `layer ${layer + 1}`));
    const cell = make('button', { class: 'cell', type: 'button', 'data-head': `${layer},${head}` });
    cell.addEventListener('click', () => chooseHead(mosaic, index));
    cell.addEventListener('pointerenter', () => readMosaic(mosaic, index));
    cell.addEventListener('focus', () => readMosaic(mosaic, index));
    cell.addEventListener('pointerleave', () => readMosaic(mosaic, null));
    parts.grid.append(cell);
    return cell;
  });
}

/** Colours and names of all cells. While the errors are being computed the last colours stay, dimmed. */
function colourMosaic(mosaic) {
  const { value, cells, parts, palette } = mosaic;
  if (!value) return;
  const { weight } = scalesOf(palette);
  const known = value.heads[0].frobenius !== null;
  const top = known ? Math.max(...value.heads.map(({ frobenius }) => frobenius)) : 0;
  value.heads.forEach((line, index) => {
    const cell = cells[index];
    const chosen = cell.dataset.head === mosaic.chosen;
    if (known) colourCell(cell, weight, top > 0 ? line.frobenius / top : 0);
    cell.textContent = known ? percent(line.frobenius).replace(/\s?%/, '') : '';
    cell.setAttribute('aria-pressed', String(chosen));
    cell.setAttribute('aria-busy', String(!known));
    const name = `Layer ${line.layer + 1}, head ${line.head + 1}`;
    cell.setAttribute('aria-label', known ? headInWords(line, value.n) : name);
    cell.tabIndex = chosen ? 0 : -1;
  });
  parts.legend.hidden = !known || top === 0;
  parts.takeaway.hidden = !known;
  parts.bar.style.background = gradient(weight, (share) => share * DEEPEST);
  parts.low.textContent = 'error 0 %';
  parts.high.textContent = percent(top);
}

function colourCell(cell, weight, share) {
  const packed = weight[Math.round(share * DEEPEST * (TABLE - 1))];
  const [r, g, b] = [packed & 255, (packed >> 8) & 255, (packed >> 16) & 255];
  cell.style.backgroundColor = `rgb(${r} ${g} ${b})`;
  cell.style.color = luminance(r, g, b) > 0.18 ? '#000' : '#fff';
}

/** Relative luminance of sRGB channels 0 … 255, for a readable text colour. */
function luminance(...rgb) {
  const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function headInWords(line, n) {
  return (
    `Layer ${line.layer + 1}, head ${line.head + 1}: the landmark map is ${percent(line.frobenius)} away from the ` +
    `exact one, the output ${percent(line.output)}; ${count(line.negative)} of ${count(n * n)} entries are negative, ` +
    `rows sum to one within ${line.row_sum_error < 0.001 ? 'less than 0.001' : decimal(line.row_sum_error, 3)}.`
  );
}

function readMosaic(mosaic, index) {
  const { value, parts } = mosaic;
  const chosen = value.heads.find(({ layer, head }) => `${layer},${head}` === mosaic.chosen);
  const line = index === null ? chosen : value.heads[index];
  parts.readout.textContent = !line || line.frobenius === null ? '' : headInWords(line, value.n);
}

function chooseHead(mosaic, index) {
  mosaic.chosen = mosaic.cells[index].dataset.head;
  colourMosaic(mosaic);
  readMosaic(mosaic, index);
  mosaic.choose();
}

/** Arrow keys move the focus over the grid; Enter and space press the button as they always do. */
function moveOnMosaic(mosaic, event) {
  const at = mosaic.cells.indexOf(document.activeElement);
  if (at < 0) return;
  const heads = mosaic.cells.filter((cell) => cell.dataset.head.startsWith('0,')).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -heads, ArrowDown: heads }[event.key];
  if (!step) return;
  event.preventDefault();
  const next = mosaic.cells[at + step];
  if (!next) return;
  mosaic.cells.forEach((cell) => (cell.tabIndex = cell === next ? 0 : -1));
  next.focus();
}
