// Charts: curves over a common x, and bars.

import { roleColour } from '../lib/colour.js';
import { number, tick } from '../lib/format.js';
import { draw } from '../lib/svg.js';
import { hideTip, showTip } from './tip.js';

const MARGIN = { left: 46, right: 12, top: 8, bottom: 36 };
const CHART_HEIGHT = 176;

function axisOf(values, log, from, to) {
  const known = values.filter((value) => value !== null && Number.isFinite(value) && (!log || value > 0));
  let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [log ? 1 : 0, log ? 10 : 1];
  if (!log) low = Math.min(low, 0);
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low, high + 1];
  if (!log) high += 0.04 * (high - low);
  const way = log ? Math.log : (value) => value;
  const place = (value) => from + ((way(value) - way(low)) / (way(high) - way(low))) * (to - from);
  return { low, high, log, place };
}

export function ticksOf({ low, high, log }, most) {
  if (log) return logTicks(low, high, most);
  const least = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= least);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step - first + 1e-9) + 1 }, (_, i) => (first + i) * step);
}

/** Powers of two where they are whole numbers and few, else powers of ten, with 2 and 5 between where those are few. */
function logTicks(low, high, most) {
  const powers = (base, factors) => {
    const first = Math.floor(Math.log(low) / Math.log(base));
    const last = Math.ceil(Math.log(high) / Math.log(base));
    const all = Array.from({ length: last - first + 1 }, (_, i) =>
      factors.map((factor) => factor * base ** (first + i)),
    );
    return all.flat().filter((tick) => tick >= low * 0.999 && tick <= high * 1.001);
  };
  const inTwos = low >= 1 && high <= 4096;
  let ticks = inTwos ? powers(2, [1]) : powers(10, [1]);
  if (!inTwos && ticks.length < 3) ticks = powers(10, [1, 2, 5]);
  const every = Math.ceil(ticks.length / most);
  return ticks.filter((_, index) => index % every === 0);
}

function crowded(ticks, across) {
  return ticks.some((tick, index) => index && Math.abs(across.place(tick) - across.place(ticks[index - 1])) < 30);
}

function drawAxes(frame, across, up, xLabel, own) {
  const parts = [];
  for (const mark of ticksOf(up, 4)) {
    const y = up.place(mark);
    parts.push(
      draw('line', { x1: frame.left, x2: frame.right, y1: y, y2: y, class: 'grid' }),
      draw('text', { x: frame.left - 6, y: y + 4, class: 'tick end' }, tick(mark)),
    );
  }
  const room = Math.max(2, Math.floor((frame.right - frame.left) / 52));
  const ticks = own.length <= room && across.log && !crowded(own, across) ? own : ticksOf(across, room);
  for (const mark of ticks.filter(Number.isInteger)) {
    parts.push(draw('text', { x: across.place(mark), y: frame.bottom + 15, class: 'tick middle' }, tick(mark)));
  }
  const middle = (frame.left + frame.right) / 2;
  parts.push(
    draw('line', { x1: frame.left, x2: frame.right, y1: frame.bottom, y2: frame.bottom, class: 'axis' }),
    draw('text', { x: middle, y: frame.bottom + 31, class: 'axis-name middle' }, xLabel),
  );
  return parts;
}

function legendOf(entries, x, y, width) {
  let left = x;
  let line = 0;
  return entries.map((entry) => {
    const size = 24 + 6.3 * entry.name.length;
    if (left > x && left + size > x + width) [left, line] = [x, line + 1];
    const top = y + 17 * line;
    const group = draw(
      'g',
      { class: 'legend', 'data-key': entry.key || null, style: `--tint: ${roleColour(entry.role)}` },
      draw('line', {
        x1: left,
        x2: left + 16,
        y1: top - 4,
        y2: top - 4,
        class: `curve${entry.dashed ? ' dashed' : ''}`,
      }),
      draw('text', { x: left + 21, y: top, class: 'legend-name' }, entry.name),
    );
    left += size + 12;
    group.lines = line + 1;
    return group;
  });
}

/** @param {import('./picture.js').Stage} stage */
export function drawChart(stage, block, { x, y, width }) {
  const legend = legendOf(block.curves, x, y + 34, width);
  const top = y + 34 + 17 * (legend.at(-1)?.lines ?? 0);
  const frame = { left: x + MARGIN.left, right: x + width - MARGIN.right, top, bottom: top + CHART_HEIGHT };
  const across = axisOf(
    [...block.x, ...(block.mark === null ? [] : [block.mark])],
    block.log_x,
    frame.left,
    frame.right,
  );
  if (!block.log_x) across.high = Math.max(...block.x);
  const up = axisOf(
    block.curves.flatMap((curve) => curve.y),
    block.log_y,
    frame.bottom,
    frame.top + 6,
  );
  const group = draw(
    'g',
    { class: `block chart${block.secret ? ' secret' : ''}`, role: 'img', 'aria-label': `Chart: ${block.name}` },
    chartName(block.name, x, y, width),
    draw('text', { x: x + width - MARGIN.right, y: y + 13, class: 'axis-name end' }, besides(block, width)),
    legend,
    drawAxes(frame, across, up, block.x_label, block.x),
  );
  if (block.mark !== null) group.append(...drawMark(block.mark, across, frame));
  for (const curve of block.curves) group.append(drawCurve(block, curve, across, up));
  group.append(chartTip(stage, block, frame, across));
  return { group, bottom: frame.bottom + MARGIN.bottom };
}

const LETTER = 7.4; // pixels of a chart name's letter, roughly

export function chartName(name, x, y, width) {
  const most = Math.floor((width - MARGIN.right) / LETTER);
  const shown = name.length > most ? `${name.slice(0, most - 1)}…` : name;
  return draw('text', { x, y: y + 13, class: 'chart-name' }, draw('title', {}, name), shown);
}

function besides(block, width) {
  return (block.name.length + block.y_label.length + 2) * LETTER < width ? block.y_label : '';
}

function drawMark(mark, across, frame) {
  const x = across.place(mark);
  return [draw('line', { x1: x, x2: x, y1: frame.top, y2: frame.bottom, class: 'mark' })];
}

function drawCurve(block, curve, across, up) {
  const points = block.x
    .map((x, index) => [x, curve.y[index]])
    .filter(([, y]) => y !== null && Number.isFinite(y) && (!block.log_y || y > 0))
    .map(([x, y]) => [across.place(x), up.place(y)]);
  const line = points.map(([x, y], index) => `${index ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
  return draw(
    'g',
    {
      class: 'curve-group',
      'data-key': curve.key || null,
      tabindex: curve.key ? 0 : null,
      role: 'img',
      'aria-label': `${curve.name}: ${curve.y.map((value, i) => `${number(value)} at ${block.x[i]}`).join(', ')}`,
      style: `--tint: ${roleColour(curve.role)}`,
    },
    draw('path', { d: line, class: `curve${curve.dashed ? ' dashed' : ''}` }),
    points.map(([cx, cy]) => draw('circle', { cx, cy, r: 2.6, class: 'dot' })),
  );
}

function chartTip(stage, block, frame, across) {
  const area = draw('rect', {
    x: frame.left,
    y: frame.top,
    width: Math.max(frame.right - frame.left, 1),
    height: frame.bottom - frame.top,
    class: 'catcher',
  });
  area.addEventListener('pointermove', (event) => {
    const box = area.getBoundingClientRect();
    const at = frame.left + ((event.clientX - box.left) / box.width) * (frame.right - frame.left);
    const distance = (x) => Math.abs(across.place(x) - at);
    const index = block.x.reduce((best, x, i) => (distance(x) < distance(block.x[best]) ? i : best), 0);
    const lines = block.curves.map((curve) => `${curve.name}: ${number(curve.y[index])}`);
    showTip(stage.element, event, [`${block.x_label} = ${block.x[index]}`, ...lines]);
  });
  area.addEventListener('pointerleave', () => hideTip(stage.element));
  return area;
}

/** @param {import('./picture.js').Stage} stage */
export function drawBars(stage, block, { x, y, width }) {
  const frame = { left: x + MARGIN.left, right: x + width - MARGIN.right, top: y + 24, bottom: y + 24 + 120 };
  const span = block.x.at(-1) - block.x[0] || 1;
  const size = (frame.right - frame.left - 12) / (span + 1);
  const place = (value) => frame.left + 6 + size * (value - block.x[0]);
  const up = axisOf(block.values, false, frame.bottom, frame.top + 4);
  const scale = { low: block.x[0], high: block.x.at(-1), log: false, place: (value) => place(value) + size / 2 };
  const group = draw(
    'g',
    {
      class: `block chart${block.secret ? ' secret' : ''}`,
      'data-key': block.key || null,
      tabindex: block.key ? 0 : null,
      role: 'img',
      'aria-label': `${block.name}: ${block.values.map((value, i) => `${number(value)} at ${block.x[i]}`).join(', ')}`,
      style: `--tint: ${roleColour(block.role)}`,
    },
    chartName(block.name, x, y, width),
    drawAxes(frame, scale, up, block.x_label, block.x),
    block.values.map((value, index) => {
      const ends = [up.place(0), up.place(value)];
      const bar = draw('rect', {
        x: place(block.x[index]) + 0.5,
        y: Math.min(...ends),
        width: Math.max(size - 1, 0.8),
        height: Math.max(Math.abs(ends[0] - ends[1]), 0.6),
        class: 'bar',
      });
      bar.addEventListener('pointermove', (event) =>
        showTip(stage.element, event, [`${block.x_label} ${block.x[index]}: ${number(value)}`]),
      );
      bar.addEventListener('pointerleave', () => hideTip(stage.element));
      return bar;
    }),
  );
  return { group, bottom: frame.bottom + MARGIN.bottom };
}
