// The text as tokens, each in the colour of the segment it is averaged into.

import { roleColour } from '../lib/colour.js';
import { draw } from '../lib/svg.js';
import { hideTip, showTip } from './tip.js';

const MOST_WORDS = 170;
const measuring = document.createElement('canvas').getContext('2d');

/** @param {import('./picture.js').Stage} stage */
export function drawWords(stage, block, { x, y, width }) {
  measuring.font = '13px ui-monospace, Menlo, Consolas, monospace';
  const group = draw(
    'g',
    {
      class: `block words${block.secret ? ' secret' : ''}`,
      'data-key': block.key || null,
      tabindex: block.key ? 0 : null,
      role: 'img',
      'aria-label': `${block.name}: ${new Set(block.segments.filter((s) => s >= 0)).size} segments of ${block.words.length} tokens`,
      style: `--tint: ${roleColour(block.role)}`,
    },
    draw('text', { x, y: y + 13, class: 'chart-name' }, block.name),
  );
  const rtl = runsFromTheRight(block.words);
  let left = x;
  let top = y + 24;
  const left_out = Math.max(block.words.length - MOST_WORDS, 0);
  const cut = left_out ? Math.round(0.65 * MOST_WORDS) : -1;
  block.words.forEach((word, index) => {
    if (left_out && index > cut && index < cut + left_out) return;
    if (index === cut) word = `… ${left_out} tokens …`;
    const text = word.replace(/^##/, '');
    const joined = word.startsWith('##');
    const size = measuring.measureText(text).width + 8;
    if (!joined && left > x) left += 3;
    if (left + size > x + width && left > x) [left, top] = [x, top + 25];
    const at = rtl ? 2 * x + width - left - size : left;
    group.append(
      index === cut
        ? draw('text', { x: at + 4, y: top + 14, class: 'block-caption' }, text)
        : drawWord(stage, block, index, text, at, top, size),
    );
    left += size;
  });
  return { group, bottom: top + 36 };
}

/** Whether a text's first letter, special tokens aside, is of a script that is written from right to left. */
function runsFromTheRight(words) {
  const first = words
    .filter((word) => !/^\[[A-Z]+\]$/.test(word))
    .join('')
    .match(/\p{L}/u)?.[0];
  return /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/.test(first ?? '');
}

function drawWord(stage, block, index, text, x, y, width) {
  const segment = block.segments[index];
  const colour = segment < 0 ? 'var(--role-neutral)' : `var(--segment-${segment % stage.segments})`;
  const word = draw(
    'g',
    { class: `word${block.faded[index] ? ' faded' : ''}`, 'data-segment': segment, style: `--tint: ${colour}` },
    draw('rect', { x, y, width, height: 20, class: 'word-box' }),
    draw('rect', { x, y: y + 18, width, height: 3, class: 'word-line' }),
    draw('text', { x: x + 4, y: y + 14, class: 'word-text' }, text),
  );
  word.addEventListener('pointermove', (event) => {
    const members = block.segments.flatMap((other, i) => (other === segment ? [i] : []));
    const place =
      segment < 0 ? 'in no landmark' : `landmark ${segment + 1}: tokens ${members[0] + 1} to ${members.at(-1) + 1}`;
    showTip(stage.element, event, [`token ${index + 1} “${text}”`, place]);
    markSegment(word.parentNode, segment);
  });
  word.addEventListener('pointerleave', () => {
    hideTip(stage.element);
    markSegment(word.parentNode, null);
  });
  return word;
}

function markSegment(group, segment) {
  for (const word of group.querySelectorAll('.word')) {
    word.classList.toggle('same', segment !== null && word.dataset.segment === String(segment));
  }
}
