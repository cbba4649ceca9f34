// The menu below a plotly figure: the figure of the slot that this menu stands in, under its caption.

import { wireSaving } from '../lib/export.js';
import { draw, serialised, sheet } from '../lib/svg.js';

const CAPTION_HEIGHT = 40;

/** @param {import('../lib/component.js').Component} component */
export function start({ element }) {
  const slot = element.closest('.slot');
  const figure = () => slot.querySelector('.js-plotly-plot');
  wireSaving(element.querySelectorAll('[data-save]'), {
    name: () => `nystrom-${figure().closest('[id]').id}`,
    svg: () => captionedSvg(figure(), slot.querySelector('.caption').textContent.trim()),
    csv: () => figure().layout.meta.csv,
  });
}

/** On the page a figure has no ground, and its caption stands above it; a file has both, and the figure's sentence. */
async function captionedSvg(figure, caption) {
  const { data, layout } = figure;
  const style = getComputedStyle(document.body);
  const [width, height] = ['width', 'height'].map((side) => Math.round(figure.getBoundingClientRect()[side]));
  const inked = { ...layout, font: { ...layout.font, color: style.color } };
  const url = await globalThis.Plotly.toImage({ data, layout: inked }, { format: 'svg', width, height });
  const drawn = new DOMParser().parseFromString(decodeURIComponent(url.slice(url.indexOf(',') + 1)), 'image/svg+xml');
  drawn.documentElement.setAttribute('y', String(CAPTION_HEIGHT));
  const size = { width, height: height + CAPTION_HEIGHT };
  const whole = sheet(size.width, size.height, { 'font-family': 'sans-serif' });
  whole.append(
    draw('desc', {}, layout.meta.summary),
    draw('rect', { ...size, fill: style.backgroundColor }),
    draw('text', { x: 16, y: 26, 'font-size': 17, fill: style.color }, caption),
    drawn.documentElement,
  );
  return serialised(whole);
}
