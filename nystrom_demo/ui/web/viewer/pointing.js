// Pointer, wheel and keys on the maps. All of it stays in the browser: nothing here calls the server.

import { cellAt, GUTTER } from './maps.js';
import { moved, wholeWindow, zoomed } from './zoom.js';

const CLICK_SLACK = 4; // pixels that a click may wander

export function wirePlot(plot, view, act) {
  const pointers = new Map();
  let drag = null;
  const { mark, box } = plot;

  mark.addEventListener('pointerdown', (event) => {
    pointers.set(event.pointerId, event);
    drag = { x: event.clientX, y: event.clientY, window: view.window, wandered: false, apart: apart(pointers) };
    mark.setPointerCapture(event.pointerId);
  });
  mark.addEventListener('pointermove', (event) => {
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, event);
    if (drag) dragOrPinch(event);
    if (!drag?.wandered) act.hover(cellAt(plot, view, event));
  });
  mark.addEventListener('pointerup', (event) => {
    const clicked = drag && !drag.wandered && pointers.size === 1;
    pointers.delete(event.pointerId);
    if (clicked) act.hold(cellAt(plot, view, event));
    if (pointers.size === 0) drag = null;
    if (event.pointerType === 'touch') act.hover(null);
  });
  mark.addEventListener('pointercancel', (event) => {
    pointers.delete(event.pointerId);
    drag = null;
  });
  mark.addEventListener('pointerleave', () => act.hover(null));
  mark.addEventListener('wheel', (event) => onWheel(event, plot, view, act), { passive: false });
  box.addEventListener('keydown', (event) => onKey(event, view, act));
  box.addEventListener('blur', () => act.hover(null));

  function dragOrPinch(event) {
    if (Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > CLICK_SLACK) drag.wandered = true;
    if (pointers.size === 2 && drag.apart) {
      drag.wandered = true;
      const { x, y } = middleOf(pointers, plot);
      act.zoomTo(zoomed(drag.window, view.axis, drag.apart / apart(pointers), x, y));
    } else if (drag.wandered && view.window.span < view.axis.size) {
      const [right, down] = [drag.x - event.clientX, drag.y - event.clientY];
      act.zoomTo(moved(drag.window, view.axis, right / plot.side, down / plot.side));
    }
  }
}

function apart(pointers) {
  if (pointers.size !== 2) return null;
  const [a, b] = pointers.values();
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1;
}

function middleOf(pointers, plot) {
  const [a, b] = pointers.values();
  const bounds = plot.mark.getBoundingClientRect();
  return {
    x: ((a.clientX + b.clientX) / 2 - bounds.left - GUTTER.left) / plot.side,
    y: ((a.clientY + b.clientY) / 2 - bounds.top - GUTTER.top) / plot.side,
  };
}

/** The wheel zooms a focused map, or any map with Ctrl (a pinch on a touch pad); else the page scrolls as ever. */
function onWheel(event, plot, view, act) {
  const focused = document.activeElement === plot.box;
  const outward = event.deltaY > 0;
  if (!(focused || event.ctrlKey) || (outward && view.window.span >= view.axis.size && !event.ctrlKey)) return;
  event.preventDefault();
  const cell = cellAt(plot, view, event);
  if (cell) act.zoomTo(zoomed(view.window, view.axis, Math.exp(Math.sign(event.deltaY) * 0.18), cell.x, cell.y));
}

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

function onKey(event, view, act) {
  if (event.altKey || event.metaKey || event.ctrlKey) return;
  const { axis, window: shown } = view;
  const at = view.cursor?.row != null && view.cursor?.column != null ? view.cursor : firstCell(shown);
  const share = (place, way) => (place + 0.5 - shown[way]) / shown.span;
  const about = [share(at.column, 'column'), share(at.row, 'row')];
  const actions = {
    Enter: () => act.hold(at),
    ' ': () => act.hold(at),
    Escape: () => act.release(),
    '+': () => act.zoomTo(zoomed(shown, axis, 0.7, ...about)),
    '=': () => act.zoomTo(zoomed(shown, axis, 0.7, ...about)),
    '-': () => act.zoomTo(zoomed(shown, axis, 1 / 0.7, ...about)),
    0: () => act.zoomTo(wholeWindow(axis)),
    Home: () => act.moveTo({ ...at, column: 0 }),
    End: () => act.moveTo({ ...at, column: axis.size - 1 }),
    PageUp: () => act.moveTo({ ...at, row: 0 }),
    PageDown: () => act.moveTo({ ...at, row: axis.size - 1 }),
  };
  const step = STEPS[event.key];
  if (step) {
    const far = event.shiftKey ? 10 : 1;
    const within = (place) => Math.min(Math.max(place, 0), axis.size - 1);
    act.moveTo({ row: within(at.row + far * step[0]), column: within(at.column + far * step[1]) });
  } else if (actions[event.key]) actions[event.key]();
  else return;
  event.preventDefault();
}

function firstCell(shown) {
  return { row: Math.ceil(shown.row), column: Math.ceil(shown.column) };
}
