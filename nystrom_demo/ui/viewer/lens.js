// The text itself, coloured: by segment, by what a landmark gathers and who reads it, by what a token reads.

/** A panel of clickable tokens; `heard(token, chosen)` hears which one is pointed at (null: none) or chosen. */
function fillText(panel, head, heard) {
  const spans = head.tokens.map((token, t) => {
    const span = make('span', token.special ? 'token special' : 'token', token.text);
    span.dataset.token = t;
    if (token.special) span.dir = 'ltr'; // it says nothing of the direction of the text
    return span;
  });
  panel.replaceChildren(...spans);
  panel.dir = 'auto';
  panel.spans = spans;
  if (panel.wired) panel.heard = heard;
  else wireText(panel, heard);
}

function wireText(panel, heard) {
  panel.wired = true;
  panel.heard = heard;
  const tokenOf = (event) => {
    const span = event.target.closest('.token');
    return span && panel.contains(span) ? Number(span.dataset.token) : null;
  };
  panel.addEventListener('pointermove', (event) => panel.heard(tokenOf(event), false));
  panel.addEventListener('pointerleave', () => panel.heard(null, false));
  panel.addEventListener('click', (event) => {
    const token = tokenOf(event);
    if (token !== null) panel.heard(token, true);
  });
}

/** Neighbouring segments in different tints, the chosen one framed. */
function colourSegments(panel, head, landmark, palette) {
  panel.spans.forEach((span, t) => {
    const segment = head.segments[t];
    const colour = palette.segments[segment % palette.segments.length];
    span.style.backgroundColor = `${colour}38`;
    span.classList.toggle('chosen', segment === landmark);
  });
}

/** Values as heat in `colour`, on a scale that ends at the largest; negative ones in `negative`. */
function colourValues(panel, values, colour, negative) {
  let top = 0;
  for (const value of values) top = Math.max(top, Math.abs(value));
  panel.spans.forEach((span, t) => {
    const share = top > 0 ? (Math.abs(values[t]) / top) ** 0.7 : 0;
    const alpha = Math.round(share * 150).toString(16).padStart(2, '0');
    span.style.backgroundColor = `${values[t] < 0 ? negative : colour}${alpha}`;
    span.title = printed(values[t], cellDecimals(values.length));
  });
}

/** Row `token` of both maps over the tokens. */
function tokenAttention(head, token) {
  const rows = oneToken(head.n, token);
  const columns = everyToken(head.n);
  const exact = exactGrid(head, rows, columns);
  if (head.exact) return { exact, landmark: exact };
  const readers = readersOf(head, pooledKernel1(head, rows), 1);
  return { exact, landmark: product(readers, head.kernel_3, 1, head.m, head.n) };
}

function oneToken(n, token) {
  const bin = new Int32Array(n).fill(-1);
  bin[token] = 0;
  return { bins: 1, bin, weight: new Float64Array(n).fill(1), tokens: [token] };
}

/** What a landmark gathers, its row of kernel_3, and each token's share for it, its column of kernel_1. */
function landmarkAttention(head, landmark) {
  if (head.exact) {
    const gathers = new Float64Array(head.n);
    gathers[landmark] = 1;
    return { gathers, readBy: exactGrid(head, everyToken(head.n), oneToken(head.n, landmark)) };
  }
  const { n, m, kernel_1, kernel_3 } = head;
  return {
    gathers: kernel_3.subarray(landmark * n, (landmark + 1) * n),
    readBy: Float64Array.from({ length: n }, (_, t) => kernel_1[t * m + landmark]),
  };
}

/** The largest values in words: "‹cat› 0.213, ‹mat› 0.120, ‹the› 0.080". */
function largestInWords(values, head, count = 3) {
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
  return order.slice(0, count).map((t) => `‹${head.tokens[t].label}› ${printed(values[t], 3)}`).join(', ');
}
