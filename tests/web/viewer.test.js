// What the viewer computes before it draws: heads, axes, windows, recipes, scales, and its sentences.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { colourTable, percentile, weightColour } from '../../nystrom_demo/ui/web/lib/colour.js';
import { csvField } from '../../nystrom_demo/ui/web/lib/export.js';
import { halfFloat } from '../../nystrom_demo/ui/web/tour/cells.js';
import { ticksOf } from '../../nystrom_demo/ui/web/tour/chart.js';
import { everyToken, makeAxis, poolingInWords, spread } from '../../nystrom_demo/ui/web/viewer/axes.js';
import {
  cellNumbers,
  exactGrid,
  isLive,
  landmarkGrid,
  openHead,
  withLandmarks,
} from '../../nystrom_demo/ui/web/viewer/head.js';
import { landmarkWords } from '../../nystrom_demo/ui/web/viewer/head_words.js';
import { recipeLines, roundedToTotal } from '../../nystrom_demo/ui/web/viewer/recipe.js';
import { fineEnough, frameOf, inside, showing, wholeWindow, zoomed } from '../../nystrom_demo/ui/web/viewer/zoom.js';
import { golden, inputs } from './golden.js';

const { said, ...sizes } = golden('words');
const base64 = (values) => Buffer.from(Float32Array.from(values).buffer).toString('base64');

/** A head as the server sends it, opened; on n landmarks, from which `withLandmarks` takes it anywhere. */
function opened(kind, n, labels = Array.from({ length: n }, (_, t) => `w${t}`)) {
  const { q, k } = inputs(kind, n, sizes);
  const tokens = labels.map((label, t) => ({ label, text: label, word: Math.floor(t / 2), special: t === 0 }));
  const arrays = { q: base64(q[0]), k: base64(k[0]), coefficients: '', kernel_2_inv: null };
  const numbers = { n, m: n, dim: sizes.dim, scale: sizes.dim ** -0.5, exact: true, own_estimate: true };
  return openHead({ ...arrays, ...numbers, tokens, segments: [], words: {} });
}

for (const { kind, n, m, steps, labels, strongest, words } of said)
  test(`${m} landmarks for ${n} ${kind} tokens are told in the package's words`, () => {
    const head = withLandmarks(opened(kind, n, labels), m, steps);
    const told = landmarkWords(head);
    const { title, exact, ...others } = words; // what landmarks do not change
    assert.deepEqual(told.words, others);
    assert.deepEqual(told.strongest, strongest);
  });

test('a pooled map is the mean of the map, whole or from its factors', () => {
  const head = withLandmarks(opened('random', 60), 7, 6);
  const axis = makeAxis(head, { merge: true, hide: false });
  const [rows, columns] = ['rows', 'columns'].map((role) => spread(axis, 60, role));
  for (const grid of [exactGrid, landmarkGrid]) {
    const whole = grid(head, rows, columns);
    const parts = grid({ ...head, map: undefined, exactMap: undefined }, rows, columns);
    whole.forEach((value, i) => assert.ok(Math.abs(value - parts[i]) < 1e-12));
  }
  const one = (t) => ({ ...spread(makeAxis(head, {}), 60, 'rows', t, 1), bins: 1 });
  const { exact, landmark } = cellNumbers(head, one(9), one(4));
  assert.ok(Math.abs(exact - head.exactMap[9 * 60 + 4]) < 1e-12);
  assert.ok(Math.abs(landmark - head.map[9 * 60 + 4]) < 1e-12);
});

test('the dial goes as far as the first estimates that were sent', () => {
  const head = { n: 60, own_estimate: false, coefficients: new Float64Array(20) };
  assert.deepEqual(
    [1, 20, 21, 60].map((m) => isLive(head, m, 6)),
    [true, true, false, true],
  );
  assert.ok(isLive({ ...head, own_estimate: true }, 59, 20));
  assert.ok(!isLive({ ...head, n: 4096 }, 8, 6));
});

test('words of several pieces are one group, and special tokens can be hidden', () => {
  const head = opened('random', 5, ['[CLS]', 'un', '##happy', 'film', '##s'].map(String));
  head.tokens.forEach((token, t) => {
    token.word = [null, 0, 0, 1, 1][t];
  });
  const axis = makeAxis(head, { merge: true, hide: true });
  assert.deepEqual(axis.groups, [
    { tokens: [1, 2], label: 'unhappy' },
    { tokens: [3, 4], label: 'films' },
  ]);
  assert.deepEqual(Array.from(axis.of), [-1, 0, 0, 1, 1]);
  assert.deepEqual(Array.from(spread(axis, 5, 'rows').weight), [0, 0.5, 0.5, 0.5, 0.5]);
  assert.deepEqual(Array.from(everyToken(3).bin), [0, 1, 2]);
  assert.equal(poolingInWords(512, 512), '');
  assert.match(poolingInWords(1024, 512), /1,024 × 1,024 cells: each is the mean of 2 × 2/);
});

test('a window stays inside the map, square, and shows the cell it is moved to', () => {
  const axis = { size: 100 };
  const shown = zoomed(wholeWindow(axis), axis, 0.1, 1, 0);
  assert.deepEqual(shown, { row: 0, column: 90, span: 10 });
  assert.deepEqual(zoomed(shown, axis, 100), { row: 0, column: 0, span: 100 });
  assert.equal(zoomed(shown, axis, 0.01).span, 4);
  assert.deepEqual(showing(shown, axis, { row: 50, column: 95 }), { row: 41, column: 90, span: 10 });
  assert.deepEqual(inside({ row: -3, column: 95, span: 10 }, axis), { row: 0, column: 90, span: 10 });
  assert.ok(fineEnough({ size: 100, frame: { row: 0, column: 0, span: 100 } }, shown, axis));
  assert.ok(!fineEnough({ size: 50, frame: { row: 0, column: 0, span: 100 } }, shown, axis));
  assert.deepEqual(frameOf(shown, axis), { row: 0, column: 89, span: 11 });
});

test('printed terms add up to the printed cell', () => {
  const values = [0.123456, -0.023456, 0.000004];
  const rounded = roundedToTotal(values, 0.100004, 5);
  assert.equal(Math.round(1e5 * rounded.reduce((sum, value) => sum + value, 0)), 10000);
  const weight = Float64Array.from({ length: 9 }, (_, a) => (a + 1) / 10);
  const cell = { landmark: 4.5, weight, gathered: new Float64Array(9).fill(1) };
  const lines = recipeLines(cell, 5);
  assert.deepEqual(
    lines.map((line) => line.landmark),
    [8, 7, 6, 5, 4, 3, null],
  );
  assert.equal(lines.at(-1).others, 3);
});

test('colours begin and end at the stops, and a scale leaves out the few largest', () => {
  const table = colourTable(['#000000', '#ffffff']);
  assert.equal(table[0], 0xff000000);
  assert.equal(table[255], 0xffffffff);
  assert.equal(weightColour(table, 2, 1), table[255]);
  assert.equal(weightColour(table, -1, 1), table[0]);
  const grid = new Float64Array(1000).fill(0.25);
  grid[0] = 100;
  assert.ok(Math.abs(percentile([grid], 0.99) - 0.25) < 0.01);
  assert.equal(percentile([new Float64Array(4)], 0.99), 0);
});

test('a field of a CSV is quoted where it must be, and never runs', () => {
  assert.deepEqual(['plain', 'a,b', 'say "so"', '=1+1', '-5', -5, null].map(csvField), [
    'plain',
    '"a,b"',
    '"say ""so"""',
    "'=1+1",
    '-5',
    '-5',
    '',
  ]);
});

test('sixteen bits are read as the number that they stand for', () => {
  assert.deepEqual([0x3c00, 0xc000, 0x3555, 0x0001].map(halfFloat), [1, -2, 0.333251953125, 2 ** -24]);
});

test('an axis has round marks', () => {
  assert.deepEqual(ticksOf({ low: 0, high: 10, log: false }, 4), [0, 5, 10]);
  assert.deepEqual(ticksOf({ low: 1, high: 64, log: true }, 8), [1, 2, 4, 8, 16, 32, 64]);
});
