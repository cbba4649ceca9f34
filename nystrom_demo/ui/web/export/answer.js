// The menu below an answer: what the page shows of it, and its numbers.

import { drawnAgain } from '../lib/drawing.js';
import { wireSaving } from '../lib/export.js';

/** @param {import('../lib/component.js').Component} component */
export function start({ element }) {
  const answer = () => element.closest('.answer-slot').querySelector('.answer');
  wireSaving(element.querySelectorAll('[data-save]'), {
    name: () => 'nystrom-answer',
    svg: () => drawnAgain(answer(), answer().querySelector('.verdict').textContent),
    csv: () => answer().dataset.csv,
  });
}
