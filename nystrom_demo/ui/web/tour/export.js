// A picture as a file: SVG with its colours written in, CSV of every number in it.

import { csvField } from '../lib/export.js';
import { draw } from '../lib/svg.js';
import { entriesOf } from './cells.js';

const DRAWN = [
  'fill',
  'stroke',
  'stroke-width',
  'stroke-dasharray',
  'opacity',
  'font',
  'text-anchor',
  'image-rendering',
];

export function standalone(element) {
  const picture = element.querySelector('svg.picture');
  const copy = picture.cloneNode(true);
  const originals = [picture, ...picture.querySelectorAll('*')];
  const copies = [copy, ...copy.querySelectorAll('*')];
  const hidden = [];
  originals.forEach((original, index) => {
    const style = getComputedStyle(original);
    if (style.display === 'none') hidden.push(copies[index]);
    copies[index].setAttribute('style', DRAWN.map((name) => `${name}: ${style.getPropertyValue(name)}`).join('; '));
    for (const name of ['class', 'tabindex', 'role']) copies[index].removeAttribute(name);
  });
  hidden.forEach((part) => part.remove());
  const ground = getComputedStyle(document.body).backgroundColor;
  copy.prepend(draw('rect', { width: '100%', height: '100%', fill: ground }));
  return copy;
}

export function tableOf(scene, element) {
  const revealed = element.closest('#learn')?.hasAttribute('data-revealed') ?? true;
  const rows = [['part', 'row', 'column', 'value']];
  for (const reading of scene.readings.filter((item) => revealed || !item.secret))
    rows.push([reading.name, '', '', reading.text]);
  for (const block of scene.rows.flat().filter((item) => revealed || !item.secret)) {
    if (block.kind === 'matrix') {
      entriesOf(block).forEach((value, place) => {
        const [row, column] = [Math.floor(place / block.drawn[1]), place % block.drawn[1]];
        const [down, across] = [row * block.pooled[0] + block.first[0], column * block.pooled[1] + block.first[1]];
        rows.push([block.name, down, across, value]);
      });
    } else if (block.kind === 'chart') {
      for (const curve of block.curves)
        curve.y.forEach((y, i) => rows.push([`${block.name}: ${curve.name}`, block.x[i], '', y]));
    } else if (block.kind === 'bars') {
      block.values.forEach((value, i) => rows.push([block.name, block.x[i], '', value]));
    } else if (block.kind === 'yardsticks') {
      for (const stick of block.sticks) rows.push([block.name, stick.name, '', stick.error]);
    } else if (block.kind === 'words') {
      block.words.forEach((word, i) =>
        rows.push([block.name, i + 1, word, block.segments[i] < 0 ? '' : block.segments[i] + 1]),
      );
    }
  }
  return rows.map((row) => row.map(csvField).join(',')).join('\n') + '\n';
}
