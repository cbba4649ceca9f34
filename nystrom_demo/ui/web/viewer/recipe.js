// One cell of the landmark map as a sum over landmarks, with numbers that add up as printed.

import { make } from '../lib/dom.js';
import { count, decimal } from '../lib/format.js';
import { sumOf } from './head.js';

const SHOWN_TERMS = 6;

/** Enough decimals to tell cells of a map of n tokens apart: they are 1/n large on average. */
export function cellDecimals(n) {
  return n < 1000 ? 5 : 7;
}

/** Values rounded to `decimals` so that they sum to the rounded total: those nearest the next step take up the rest. */
export function roundedToTotal(values, total, decimals) {
  const unit = 10 ** decimals;
  const floors = values.map((value) => Math.floor(value * unit));
  let missing = Math.round(total * unit) - sumOf(floors);
  const order = values.map((_, i) => i).sort((a, b) => values[b] * unit - floors[b] - (values[a] * unit - floors[a]));
  for (const i of order) {
    if (missing <= 0) break;
    floors[i] += 1;
    missing -= 1;
  }
  return floors.map((value) => value / unit);
}

/** Lines {landmark, weight, gathered, term} of the largest terms; the last one, landmark null, sums up the others. */
export function recipeLines({ landmark: total, weight, gathered }, decimals) {
  const terms = Array.from(weight, (value, a) => value * gathered[a]);
  const order = terms.map((_, a) => a).sort((a, b) => Math.abs(terms[b]) - Math.abs(terms[a]));
  const first = order.slice(0, order.length > SHOWN_TERMS + 1 ? SHOWN_TERMS : order.length);
  /** @type {{landmark: number | null, weight?: number, gathered?: number, others?: number, term: number}[]} */
  const lines = first.map((a) => ({ landmark: a, weight: weight[a], gathered: gathered[a], term: terms[a] }));
  const others = order.slice(first.length);
  if (others.length) lines.push({ landmark: null, others: others.length, term: sumOf(others.map((a) => terms[a])) });
  const rounded = roundedToTotal(
    lines.map((line) => line.term),
    total,
    decimals,
  );
  return lines.map((line, i) => ({ ...line, shown: rounded[i] }));
}

/** Fills the recipe's table for the cell under the cursor; `onLandmark(a, chosen)` hears of pointed and chosen lines. */
export function drawRecipe(parts, view, onLandmark) {
  const { cursor, cell, head, axis } = view;
  const ready = Boolean(cell);
  parts.recipe.classList.toggle('idle', !ready);
  if (!ready) {
    parts.recipeTitle.textContent = 'Point at a cell of a map to see how its landmark value comes about.';
    parts.recipeBody.replaceChildren();
    parts.recipeTotal.textContent = '';
    return;
  }
  const [reader, read] = [axis.groups[cursor.row].label, axis.groups[cursor.column].label];
  parts.recipeTitle.textContent = `How ‹${reader}› comes to read ‹${read}› through landmarks`;
  const decimals = cellDecimals(head.n);
  parts.recipeTotal.textContent = decimal(cell.landmark, decimals);
  if (head.exact) {
    const note = make(
      'tr',
      {},
      make('td', { colspan: 4 }, 'Each token is its own landmark: the cell is the exact one.'),
    );
    parts.recipeBody.replaceChildren(note);
    return;
  }
  const lines = recipeLines(cell, decimals);
  const top = Math.max(...lines.map((line) => Math.abs(line.shown)));
  parts.recipeBody.replaceChildren(...lines.map((line) => recipeRow(line, top, view, onLandmark)));
}

function recipeRow(line, top, view, onLandmark) {
  const bar = make('span', { class: line.shown < 0 ? 'bar less' : 'bar' });
  bar.style.width = `${top > 0 ? (100 * Math.abs(line.shown)) / top : 0}%`;
  const decimals = cellDecimals(view.head.n);
  const term = make('td', { class: 'number term' }, decimal(line.shown, decimals, { sign: true }));
  term.dataset.term = line.shown.toFixed(decimals);
  const barCell = make('td', { class: 'term-bar' }, bar);
  if (line.landmark === null) {
    const others = make('td', { colspan: 3 }, `the other ${count(line.others)} landmarks together`);
    return make('tr', { class: 'others' }, others, term, barCell);
  }
  const choose = make('button', { class: 'landmark', type: 'button' }, landmarkName(view, line.landmark));
  choose.addEventListener('click', () => onLandmark(line.landmark, true));
  const row = make(
    'tr',
    {},
    make('td', {}, choose),
    make('td', { class: 'number weight' }, decimal(line.weight, 4)),
    make('td', { class: 'number gathered' }, decimal(line.gathered, 4)),
    term,
    barCell,
  );
  row.addEventListener('pointerenter', () => onLandmark(line.landmark, false));
  row.addEventListener('pointerleave', () => onLandmark(null, false));
  choose.addEventListener('focus', () => onLandmark(line.landmark, false));
  return row;
}

/** "3 · the cat …", a landmark's number and how its segment begins. */
export function landmarkName({ head }, landmark) {
  const labels = head.tokens.filter((_, t) => head.segments[t] === landmark).map((token) => token.label);
  return `${landmark + 1} · ${labels.slice(0, 3).join(' ')}${labels.length > 3 ? ' …' : ''}`;
}
