import assert from 'node:assert/strict';
import test from 'node:test';

import { verdictOf } from '../../nystrom_demo/ui/web/tour/progress.js';

test('a verdict stands when the settings change what holds', () => {
  const right = { option: 'over', right: true, outcome: 'over' };
  assert.deepEqual(verdictOf(right, 'over'), { word: 'Right. ', held: 'over', moved: '' });
  assert.deepEqual(verdictOf(right, 'small'), { word: 'Right. ', held: 'over', moved: 'small' });
  const wrong = { option: 'small', right: false, outcome: 'over' };
  assert.deepEqual(verdictOf(wrong, 'small'), { word: 'Not on this text. ', held: 'over', moved: 'small' });
});

test('who asked to be shown sees what holds now', () => {
  assert.deepEqual(verdictOf({ option: '', right: false, outcome: 'over' }, 'small'), {
    word: '',
    held: 'small',
    moved: '',
  });
});

test('a prediction kept before outcomes were is neither struck out nor turned round', () => {
  assert.deepEqual(verdictOf({ option: 'over', right: true }, 'small').held, 'over');
  assert.deepEqual(verdictOf({ option: 'over', right: false }, 'over').held, '');
  assert.deepEqual(verdictOf({ option: 'over', right: false }, 'small').held, 'small');
});
