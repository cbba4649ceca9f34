// The viewer of one head: opens what the server sends, keeps what the visitor points at, draws on the next frame.

import { isDark } from '../lib/colour.js';
import { partsOf } from '../lib/dom.js';
import { pageState } from '../lib/page.js';
import { makeAxis } from './axes.js';
import { fillLens, wireFactors, wireLens, wireOptions } from './controls.js';
import { follow, wireDial } from './dial.js';
import { wireExport } from './export.js';
import { FACTORS } from './factors.js';
import { openHead } from './head.js';
import { setLensMode } from './lens.js';
import { MAPS, makePlot } from './maps.js';
import { wirePlot } from './pointing.js';
import { drawSoon, fit, rebuild, refine, repaint, settle } from './redraw.js';
import { showing } from './zoom.js';

/** @param {import('../lib/component.js').Component} component */
export function start({ element, props, watch, palette }) {
  const view = makeViewer(element, palette);
  const show = () => showPayload(view, props.value ? JSON.parse(props.value) : null);
  show();
  watch('value', show);
}

function makeViewer(root, palette) {
  const parts = partsOf(root);
  const view = {
    root,
    parts,
    palette,
    options: { merge: false, hide: false, marks: true, top: 100 },
    fonts: { text: getComputedStyle(root).fontFamily || 'sans-serif' },
    hover: null,
    pinned: null,
    cursor: null,
    landmark: 0,
    token: 0,
    pointedLandmark: null,
    pointedToken: null,
    waiting: new Set(),
  };
  view.plots = MAPS.map((name) => makePlot(root.querySelector(`[data-map="${name}"]`), name));
  view.factorCanvases = {};
  for (const name of FACTORS) view.factorCanvases[name] = root.querySelector(`[data-factor="${name}"]`);
  const act = actionsOf(view);
  view.act = act;
  view.plots.forEach((plot) => wirePlot(plot, view, act));
  wireOptions(view);
  wireFactors(view);
  wireLens(view);
  wireExport(view);
  wireDial(view);
  watchSurroundings(view);
  return view;
}

function showPayload(view, payload) {
  const { parts } = view;
  const failed = !payload || payload.message;
  parts.message.hidden = !payload?.message;
  parts.content.hidden = Boolean(failed);
  parts.message.textContent = payload?.message ?? '';
  if (failed) {
    view.head = null;
    return;
  }
  const sameText = view.head?.text === payload.text;
  view.head = openHead(payload, view.head);
  parts.factorsMenu.hidden = view.head.exact; // of exact attention there are none
  if (!sameText) Object.assign(view, { hover: null, pinned: null, pinnedByVisitor: false, landmark: 0, token: 0 });
  const linked = sameText ? null : linkedCell(view);
  if (linked) Object.assign(view, { pinned: linked, pinnedByVisitor: true });
  view.landmark = Math.min(view.landmark, view.head.m - 1);
  if (!sameText) fillLens(view);
  rebuild(view, sameText);
  parts.viewer.dataset.shown = payload.key;
  if (view.dial) follow(view); // the hand has moved on since this was asked for
}

/** The cell {row, column} of the link that the page opened on, if there is one and this text has it. */
function linkedCell({ head, options }) {
  const found = /^(\d+),(\d+)$/.exec(pageState()?.linkedCell() ?? '');
  if (!found) return null;
  const { of } = makeAxis(head, options);
  const [row, column] = found.slice(1).map((token) => of[Number(token)] ?? -1);
  return row < 0 || column < 0 ? null : { row, column };
}

function actionsOf(view) {
  let finer = null;
  const act = {
    hover(cell) {
      if (!view.head || same(cell, view.hover)) return;
      view.hover = cell && { row: cell.row, column: cell.column };
      settle(view);
    },
    hold(cell) {
      if (!cell) return;
      view.pinned = view.pinnedByVisitor && same(cell, view.pinned) ? null : { row: cell.row, column: cell.column };
      view.pinnedByVisitor = true;
      settle(view);
    },
    release() {
      Object.assign(view, { pinned: null, pinnedByVisitor: false, hover: null });
      settle(view);
    },
    moveTo(cell) {
      view.hover = cell;
      act.zoomTo(showing(view.window, view.axis, cell));
      settle(view);
    },
    zoomTo(shown) {
      view.window = shown;
      drawSoon(view, 'base');
      view.parts.maps.classList.toggle('zoomed', shown.span < view.axis.size);
      clearTimeout(finer);
      finer = setTimeout(() => refine(view), 120);
    },
    landmark(landmark, chosen) {
      view.pointedLandmark = landmark;
      if (chosen) {
        view.landmark = landmark;
        setLensMode(view, 'landmark');
      }
      drawSoon(view, 'lens');
    },
  };
  return act;
}

function same(a, b) {
  return a === b || (a && b && a.row === b.row && a.column === b.column);
}

function watchSurroundings(view) {
  new ResizeObserver(() => {
    if (!view.head) return;
    drawSoon(view, fit(view) ? 'base' : 'mark');
  }).observe(view.root);
  let dark = isDark();
  new MutationObserver(() => {
    if (isDark() === dark) return;
    dark = isDark();
    repaint(view);
  }).observe(document.body, { attributes: true, attributeFilter: ['class'] });
}
