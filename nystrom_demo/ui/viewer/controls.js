// The viewer's own controls: options, zoom buttons, factors, the lens.

function wireOptions(view) {
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
  view.pinned = found(held.row) >= 0 && found(held.column) >= 0 ? { row: found(held.row), column: found(held.column) } : null;
  rebuild(view);
}

function wireFactors(view) {
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

function wireLens(view) {
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

function lensMode(view) {
  return view.parts.lensToken.checked ? 'token' : 'landmark';
}

function setLensMode(view, mode) {
  view.parts[mode === 'token' ? 'lensToken' : 'lensLandmark'].checked = true;
}

function fillLens(view) {
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

/** What the lens looks at: a token or a landmark, the one pointed at before the chosen one, and its two values a token. */
function lensOf(view) {
  const { head } = view;
  const mode = lensMode(view);
  const place = (mode === 'token' ? view.pointedToken : view.pointedLandmark) ?? view[mode];
  if (mode === 'landmark') return { mode, place, ...landmarkAttention(head, place) };
  return { mode, place, ...tokenAttention(head, place) };
}

function drawLens(view) {
  if (!view.head || !view.parts.segmentsText.spans) return;
  const { parts, head } = view;
  const lens = lensOf(view);
  const { mode, place } = lens;
  parts.chooser.max = (mode === 'token' ? head.n : head.m) - 1;
  parts.chooser.value = view[mode];
  parts.chooserName.textContent = mode === 'token' ? 'Token' : 'Landmark';
  const name = mode === 'token' ? `${place + 1} · ${head.tokens[place].label}` : landmarkName(view, place);
  parts.chooserValue.textContent = `${name} (of ${grouped(mode === 'token' ? head.n : head.m)})`;
  parts.chooser.setAttribute('aria-valuetext', name);
  parts.segmentsTitle.textContent = `The text in ${grouped(head.m)} segments, one a landmark`;
  colourSegments(parts.segmentsText, head, mode === 'token' ? head.segments[place] : place, view.palette);
  if (mode === 'token') drawTokenLens(view, lens);
  else drawLandmarkLens(view, lens);
}

function drawTokenLens(view, { place, exact, landmark }) {
  const { parts, head, palette } = view;
  const label = head.tokens[place].label;
  parts.firstTitle.textContent = `‹${label}› reads, exactly`;
  parts.secondTitle.textContent = `‹${label}› reads, through landmarks`;
  colourValues(parts.firstText, exact, palette.roles.exact, palette.roles.negative);
  colourValues(parts.secondText, landmark, palette.roles.landmark, palette.roles.negative);
  parts.lensWords.textContent =
    `‹${label}› reads most from ${largestInWords(exact, head)} exactly, ` +
    `and from ${largestInWords(landmark, head)} through landmarks.`;
}

function drawLandmarkLens(view, { place, gathers, readBy }) {
  const { parts, head, palette } = view;
  parts.firstTitle.textContent = `Landmark ${place + 1} gathers from (its row of kernel_3)`;
  parts.secondTitle.textContent = `Landmark ${place + 1} is read by (its column of kernel_1)`;
  colourValues(parts.firstText, gathers, palette.roles.kernel_3, palette.roles.negative);
  colourValues(parts.secondText, readBy, palette.roles.kernel_1, palette.roles.negative);
  parts.lensWords.textContent =
    `Landmark ${place + 1} gathers most from ${largestInWords(gathers, head)}, ` +
    `and is read most by ${largestInWords(readBy, head)}.`;
}

/** The tokens of the lit row and column framed in the text. */
function lightTokens(view) {
  const { spans } = view.parts.segmentsText;
  if (!spans) return;
  for (const { span, name } of view.litSpans ?? []) span.classList.remove(name);
  view.litSpans = [];
  for (const way of ['row', 'column']) {
    const group = view.cursor?.[way] == null ? null : view.axis.groups[view.cursor[way]];
    for (const t of group?.tokens ?? []) {
      const lit = { span: spans[t], name: `lit-${way}` };
      lit.span.classList.add(lit.name);
      view.litSpans.push(lit);
    }
  }
}
