// What changes what: from a new head, a new grouping, a new theme or a new cursor to what is drawn on the next frame.

import { isDark, paint, scalesOf, weightPixels } from '../lib/colour.js';
import { makeAxis, spread } from './axes.js';
import { drawFactors, fitFactors } from './factors.js';
import { makeGrids, paintFactors, paintGrids } from './grids.js';
import { cellNumbers } from './head.js';
import { drawLens, lightTokens } from './lens.js';
import { drawBase, drawMark, fitPlot, rowSumOf } from './maps.js';
import { drawRecipe } from './recipe.js';
import { writeLegends, writePooling, writeReadout, writeWords } from './words.js';
import { fineEnough, frameOf, inside, wholeWindow } from './zoom.js';

/** Everything that depends on the head or on how its tokens are grouped. */
export function rebuild(view, keepWindow = false) {
  const { head } = view;
  view.axis = makeAxis(head, view.options);
  view.window =
    keepWindow && view.window
      ? inside({ ...view.window, span: Math.min(view.window.span, view.axis.size) }, view.axis)
      : wholeWindow(view.axis);
  view.grids = makeGrids(head, view.axis, wholeFrame(view.axis), view.options);
  view.rowSumReach = Math.max(1e-9, ...view.axis.groups.map((group) => Math.abs(rowSumOf(head, group) - 1)));
  if (!view.pinnedByVisitor) view.pinned = strongestCell(view);
  view.pinned = view.pinned && within(view.pinned, view.axis);
  view.hover = null;
  writeWords(view);
  repaint(view);
  settle(view);
  if (keepWindow) refine(view);
}

function wholeFrame(axis) {
  return { row: 0, column: 0, span: axis.size };
}

export function within({ row, column }, axis) {
  return { row: Math.min(row, axis.size - 1), column: Math.min(column, axis.size - 1) };
}

/** Where the two maps differ most, held at first so that the page opens with a worked example; null where hidden. */
function strongestCell({ head, axis }) {
  const [row, column] = head.strongest.map((token) => axis.of[token]);
  return row < 0 || column < 0 ? null : { row, column };
}

/** Scales and page colours of the current theme, read once a theme: to read a style the browser brings the page's up to
 * date, all of it. */
function takeTheme(view) {
  const { palette } = view;
  const dark = isDark();
  if (view.dark === dark) return;
  view.dark = dark;
  // Custom properties, since a colour itself may still be on its way from one theme to the other.
  const style = getComputedStyle(view.parts.viewer);
  const own = (name) => style.getPropertyValue(`--viewer-${name}`).trim();
  view.scales = scalesOf(palette);
  view.colours = {
    ink: own('ink'),
    quiet: own('quiet'),
    line: own('line'),
    row: palette.text.query[dark ? 'dark' : 'light'],
    column: palette.text.key[dark ? 'dark' : 'light'],
    negative: palette.roles.negative,
    halo: dark ? palette.ground.dark : palette.ground.light,
    chipText: dark ? '#000' : '#fff',
  };
}

/** Pictures in the colours of the current theme. */
export function repaint(view) {
  if (!view.head) return;
  const { head, axis, grids } = view;
  takeTheme(view);
  view.pictures = paintGrids(grids, view.scales, view.options.marks);
  view.factorPictures = paintFactors(head, axis, view.scales);
  view.factorPictures.product = paint(
    grids.size,
    grids.size,
    weightPixels(view.scales.weight, grids.landmark, grids.top),
  );
  if (view.room) fitFactors(view);
  else fit(view);
  writeLegends(view);
  drawSoon(view, 'base');
  drawSoon(view, 'lens');
}

/** Fits all canvases to the room that the page has for them; true when a map's changed. Only where that may have changed:
 * to measure it the browser lays the page out. */
export function fit(view) {
  view.room = view.parts.equation.clientWidth;
  fitFactors(view);
  return view.plots.map(fitPlot).some(Boolean);
}

/** Draws on the next frame, once, however many changes ask for it. */
export function drawSoon(view, what) {
  view.waiting.add(what);
  if (view.frame) return;
  view.frame = requestAnimationFrame(() => {
    view.frame = null;
    if (!view.head) return;
    Object.assign(view.parts.viewer.dataset, { size: view.axis.size, span: view.window.span.toFixed(2) });
    // A long text's lens, a style for each token of each text, has a frame of its own.
    const lensLater = view.waiting.has('base') && view.waiting.has('lens') && view.head.n > 256;
    if (view.waiting.has('base')) {
      view.plots.forEach((plot) => drawBase(plot, view));
      writePooling(view);
    }
    if (view.waiting.has('lens') && !lensLater) drawLens(view);
    view.waiting.clear();
    if (lensLater) drawSoon(view, 'lens');
    view.plots.forEach((plot) => drawMark(plot, view));
    drawFactors(view);
  });
}

/** Brings cursor, numbers and lights in line with what is pointed at or held. */
export function settle(view) {
  const { head, axis } = view;
  view.cursor = view.hover ?? view.pinned;
  const whole = view.cursor && view.cursor.row !== null && view.cursor.column !== null;
  view.cell = whole
    ? cellNumbers(
        head,
        spread(axis, head.n, 'rows', view.cursor.row, 1),
        spread(axis, head.n, 'columns', view.cursor.column, 1),
      )
    : null;
  const { dataset } = view.parts.viewer;
  dataset.pinned = view.pinned ? `${view.pinned.row},${view.pinned.column}` : '';
  // What a link to this view carries: the tokens of the cell that the visitor holds, however tokens are grouped.
  const first = (way) => axis.groups[view.pinned[way]].tokens[0];
  dataset.held = view.pinned && view.pinnedByVisitor ? `${first('row')},${first('column')}` : '';
  writeReadout(view);
  drawRecipe(view.parts, view, view.act.landmark);
  lightTokens(view);
  drawSoon(view, 'mark');
}

/** Recomputes the grids for the window where the ones in hand are too coarse or do not reach. */
export function refine(view) {
  if (!view.head || fineEnough(view.grids, view.window, view.axis)) return;
  const whole = view.window.span >= view.axis.size;
  const frame = whole ? wholeFrame(view.axis) : frameOf(view.window, view.axis);
  view.grids = makeGrids(view.head, view.axis, frame, view.options);
  view.pictures = paintGrids(view.grids, view.scales, view.options.marks);
  writeLegends(view);
  drawSoon(view, 'base');
}
