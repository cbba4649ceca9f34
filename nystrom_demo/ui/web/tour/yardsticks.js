// Relative errors as bars from one zero: what an error of a map is to be read against.

import { roleColour } from '../lib/colour.js';
import { draw } from '../lib/svg.js';

const NAMES = 150; // pixels for the names on the left
const NUMBERS = 56; // and for the per cent on the right
const LINE = 22;

/** @param {import('./picture.js').Stage} _stage its colours are roles' alone */
export function drawYardsticks(_stage, block, { x, y, width }) {
  const left = x + NAMES;
  const room = Math.max(width - NAMES - NUMBERS, 40);
  const longest = Math.max(...block.sticks.map((stick) => stick.error));
  const length = (error) => Math.max((error / longest) * room, 1);
  const bottom = y + 24 + LINE * block.sticks.length;
  const said = block.sticks.map((stick) => `${stick.name} ${stick.text}`).join(', ');
  const zeros = left + length(1);
  const group = draw(
    'g',
    {
      class: `block yardsticks${block.secret ? ' secret' : ''}`,
      role: 'img',
      'aria-label': `${block.name}: ${said}`,
    },
    draw('text', { x, y: y + 13, class: 'chart-name' }, block.name),
    block.sticks.map((stick, index) => {
      const top = y + 24 + LINE * index;
      const end = left + length(stick.error);
      const beyond = end < zeros && zeros - end < NUMBERS ? zeros : end; // the line at 100 % crosses no number
      return draw(
        'g',
        { class: 'stick', style: `--tint: ${roleColour(stick.role)}` },
        draw('text', { x: left - 8, y: top + 13, class: 'legend-name end' }, stick.name),
        draw('rect', { x: left, y: top + 2, width: length(stick.error), height: 14, class: 'bar' }),
        draw('text', { x: beyond + 6, y: top + 13, class: 'legend-name' }, stick.text),
      );
    }),
    draw('line', { x1: zeros, x2: zeros, y1: y + 20, y2: bottom, class: 'mark' }),
  );
  return { group, bottom: bottom + 10 };
}
