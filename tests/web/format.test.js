// Numbers in words: what Python's formatting.py says of the same ones.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as format from '../../nystrom_demo/ui/web/lib/format.js';
import { golden } from './golden.js';

const { said } = golden('format');
const ours = (name) => format[name.replace(/_(.)/, (_, letter) => letter.toUpperCase())];

for (const name of new Set(said.map(({ call }) => call)))
  test(`${name} says what Python says`, () => {
    for (const { call, args, text } of said) if (call === name) assert.equal(ours(call)(...args), text, `of ${args}`);
  });

test('no number is written with an e', () => {
  for (const { text } of said) assert.doesNotMatch(text, /\de[+-]?\d/);
});

test('what is not finite is said in words', () => {
  assert.deepEqual(
    [NaN, Infinity, -Infinity].map((x) => format.number(x)),
    ['not a number', '∞', '−∞'],
  );
});

test('marks of an axis are short', () => {
  assert.deepEqual(
    [0, 4096, 1e4, 1e5, 2e6, 1e-5, 0.5, -1e-6].map((x) => format.tick(x)),
    ['0', '4096', '10,000', '10⁵', '2 × 10⁶', '10⁻⁵', '0.5', '−10⁻⁶'],
  );
});
