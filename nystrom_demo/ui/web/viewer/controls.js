// The viewer's own controls: options, zoom buttons, factors, the lens.

import { makeAxis } from './axes.js';
import { factorPlace } from './factors.js';
import { fillText, lensMode, setLensMode } from './lens.js';
import { drawSoon, rebuild, repaint, settle } from './redraw.js';
import { wholeWindow, zoomed } from './zoom.js';

export function wireOptions(view) {
  for (const input of view.root.querySelectorAll('[data-option]')) {
    input.addEventListener('input', () => {
      const name = input.dataset.option;
      view.options[name] = input.type === 'checkbox' ? input.checked : Number(input.value);
      view.parts.topValue.textContent = `${view.options.top} %`;
      if (!view.head) return;
      if (name === 'merge' || name === 'hide') regroup(view);
      else if (name === 'top') rebuild(view, true);
      else repaint(view);
    });
  }
  for (const button of view.root.querySelectorAll('[data-zoom]')) {
    button.addEventListener('click', () => {
      const factor = { in: 0.6, out: 1 / 0.6 }[button.dataset.zoom];
      view.act.zoomTo(factor ? zoomed(view.window, view.axis, factor, ...aboutCursor(view)) : wholeWindow(view.axis));
    });
  }
}

/** Shares (x, y) of the window where the held cell is, or its middle. */
function aboutCursor({ pinned, window: shown }) {
  if (!pinned) return [0.5, 0.5];
  const share = (way) => Math.min(1, Math.max(0, (pinned[way] + 0.5 - shown[way]) / shown.span));
  return [share('column'), share('row')];
}

/** Groups the tokens anew and keeps hold of the same token where it is still shown. */
function regroup(view) {
  const token = (place) => (view.pinned ? view.axis.groups[view.pinned[place]].tokens[0] : null);
  const held = { row: token('row'), column: token('column') };
  view.axis = makeAxis(view.head, view.options);
  const found = (t) => (t === null ? -1 : view.axis.of[t]);
  view.pinned =
    found(held.row) >= 0 && found(held.column) >= 0 ? { row: found(held.row), column: found(held.column) } : null;
  rebuild(view);
}

export function wireFactors(view) {
  for (const canvas of Object.values(view.factorCanvases)) {
    canvas.addEventListener('pointermove', (event) => {
      if (!view.head) return;
      const { row, column, landmark } = factorPlace(canvas, view, event);
      view.pointedLandmark = landmark;
      view.hover = row === null && column === null ? null : { row, column };
      settle(view);
      drawSoon(view, 'lens');
    });
    canvas.addEventListener('click', () => {
      if (view.pointedLandmark !== null) view.act.landmark(view.pointedLandmark, true);
      else if (view.hover) view.act.hold(view.hover);
    });
    canvas.addEventListener('pointerleave', () => {
      Object.assign(view, { pointedLandmark: null, hover: null });
      if (!view.head) return;
      settle(view);
      drawSoon(view, 'lens');
    });
  }
}

export function wireLens(view) {
  const { parts } = view;
  for (const radio of [parts.lensLandmark, parts.lensToken]) {
    radio.addEventListener('change', () => {
      setLensMode(view, radio.value);
      drawSoon(view, 'lens');
    });
  }
  parts.chooser.addEventListener('input', () => {
    view[lensMode(view)] = Number(parts.chooser.value);
    drawSoon(view, 'lens');
  });
}

export function fillLens(view) {
  const heard = (token, chosen) => hearToken(view, token, chosen);
  for (const part of ['segmentsText', 'firstText', 'secondText']) fillText(view.parts[part], view.head, heard);
}

/** A token of the text is pointed at (previewed) or clicked (chosen), or none is. */
function hearToken(view, token, chosen) {
  const mode = lensMode(view);
  const place = token === null || mode === 'token' ? token : view.head.segments[token];
  const pointed = mode === 'token' ? 'pointedToken' : 'pointedLandmark';
  if (!chosen && view[pointed] === place) return;
  view[pointed] = place;
  if (chosen) view[mode] = place;
  const row = token === null ? -1 : view.axis.of[token];
  view.hover = row < 0 ? null : { row, column: null };
  settle(view);
  drawSoon(view, 'lens');
}
