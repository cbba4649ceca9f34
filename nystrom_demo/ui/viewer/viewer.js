// The viewer of one head: opens what the server sends, keeps what the visitor points at, draws on the next frame.

function makeViewer(root, palette) {
  const parts = {};
  for (const node of root.querySelectorAll('[data-part]')) parts[node.dataset.part] = node;
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
  wireTakeaway(view);
  watchSurroundings(view);
  return { show: (payload) => showPayload(view, payload) };
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
  view.head = openHead(payload);
  parts.factorsMenu.hidden = view.head.exact; // of exact attention there are none
  if (!sameText) Object.assign(view, { hover: null, pinned: null, pinnedByVisitor: false, landmark: 0, token: 0 });
  const linked = sameText ? null : linkedCell(view);
  if (linked) Object.assign(view, { pinned: linked, pinnedByVisitor: true });
  view.landmark = Math.min(view.landmark, view.head.m - 1);
  if (!sameText) fillLens(view);
  rebuild(view, sameText);
  parts.viewer.dataset.shown = payload.key;
}

/** The cell {row, column} of the link that the page opened on, if there is one and this text has it. */
function linkedCell({ head, options }) {
  const found = /^(\d+),(\d+)$/.exec(window.pageState?.linkedCell() ?? '');
  if (!found) return null;
  const { of } = makeAxis(head, options);
  const [row, column] = found.slice(1).map((token) => of[Number(token)] ?? -1);
  return row < 0 || column < 0 ? null : { row, column };
}

/** Everything that depends on the head or on how its tokens are grouped. */
function rebuild(view, keepWindow = false) {
  const { head } = view;
  view.axis = makeAxis(head, view.options);
  view.window = keepWindow && view.window ? inside({ ...view.window, span: Math.min(view.window.span, view.axis.size) }, view.axis) : wholeWindow(view.axis);
  view.grids = makeGrids(head, view.axis, wholeFrame(view.axis), view.options);
  view.rowSumReach = Math.max(1e-9, ...view.axis.groups.map((group) => Math.abs(rowSumOf(head, group) - 1)));
  if (!view.pinnedByVisitor) view.pinned = strongestCell(view);
  view.pinned = view.pinned && within(view.pinned, view.axis);
  view.hover = null;
  writeWords(view);
  repaint(view);
  settle(view);
}

function wholeFrame(axis) {
  return { row: 0, column: 0, span: axis.size };
}

function within({ row, column }, axis) {
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
function repaint(view) {
  if (!view.head) return;
  const { head, axis, grids } = view;
  takeTheme(view);
  view.pictures = paintGrids(grids, view.scales, view.options.marks);
  view.factorPictures = paintFactors(head, axis, view.scales);
  view.factorPictures.product = paint(grids.size, grids.size, weightPixels(view.scales.weight, grids.landmark, grids.top));
  if (view.room) fitFactors(view);
  else fit(view);
  writeLegends(view);
  drawSoon(view, 'base');
  drawSoon(view, 'lens');
}

/** Fits all canvases to the room that the page has for them; true when a map's changed. Only where that may have changed:
 * to measure it the browser lays the page out. */
function fit(view) {
  view.room = view.parts.equation.clientWidth;
  fitFactors(view);
  return view.plots.map(fitPlot).some(Boolean);
}

/** Draws on the next frame, once, however many changes ask for it. */
function drawSoon(view, what) {
  view.waiting.add(what);
  if (view.frame) return;
  view.frame = requestAnimationFrame(() => {
    view.frame = null;
    if (!view.head) return;
    Object.assign(view.parts.viewer.dataset, { size: view.axis.size, span: view.window.span.toFixed(2) });
    const lensLater = view.waiting.has('base') && view.waiting.has('lens'); // a style for each token of each text
    if (view.waiting.has('base')) {
      view.plots.forEach((plot) => drawBase(plot, view));
      writePooling(view);
    } else if (view.waiting.has('lens')) drawLens(view);
    view.waiting.clear();
    if (lensLater) drawSoon(view, 'lens');
    view.plots.forEach((plot) => drawMark(plot, view));
    drawFactors(view);
  });
}

/** Brings cursor, numbers and lights in line with what is pointed at or held. */
function settle(view) {
  const { head, axis } = view;
  view.cursor = view.hover ?? view.pinned;
  const whole = view.cursor && view.cursor.row !== null && view.cursor.column !== null;
  view.cell = whole
    ? cellNumbers(head, spread(axis, head.n, 'rows', view.cursor.row, 1), spread(axis, head.n, 'columns', view.cursor.column, 1))
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

/** Recomputes the grids for the window where the ones in hand are too coarse or do not reach. */
function refine(view) {
  if (!view.head || fineEnough(view.grids, view.window, view.axis)) return;
  const whole = view.window.span >= view.axis.size;
  const frame = whole ? wholeFrame(view.axis) : frameOf(view.window, view.axis);
  view.grids = makeGrids(view.head, view.axis, frame, view.options);
  view.pictures = paintGrids(view.grids, view.scales, view.options.marks);
  writeLegends(view);
  drawSoon(view, 'base');
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
