// What a row or column of the picture stands for: a token, a word of several tokens, or a pool of either.
//
// A word reads with the mean of its tokens' rows, and is read with the sum of its tokens' columns, so that rows keep
// their sums. A pixel of a pooled picture is the mean of its cells.

import { count } from '../lib/format.js';

export const MOST_PIXELS = 512;

/** The shown groups of tokens: {groups: [{tokens, label}], of: group of each token or -1}. */
export function makeAxis(head, { merge, hide }) {
  const groups = [];
  const of = new Int32Array(head.n).fill(-1);
  head.tokens.forEach((token, t) => {
    if (hide && token.special) return;
    const last = groups[groups.length - 1];
    const joins = merge && last && token.word !== null && head.tokens[t - 1]?.word === token.word && of[t - 1] >= 0;
    if (joins) {
      last.tokens.push(t);
      last.label += bareLabel(token.label);
    } else {
      groups.push({ tokens: [t], label: merge ? bareLabel(token.label) : token.label });
    }
    of[t] = groups.length - 1;
  });
  return { groups, of, size: groups.length };
}

function bareLabel(label) {
  return label.replace(/^(##|▁|Ġ)/, '');
}

/** Groups start … start + span − 1 dealt to at most MOST_PIXELS bins; `role` decides how a group's tokens combine. */
export function spread(axis, n, role, start = 0, span = axis.size) {
  const bins = Math.min(span, MOST_PIXELS);
  const bin = new Int32Array(n).fill(-1);
  const weight = new Float64Array(n);
  const counts = new Float64Array(bins);
  const binOf = (group) => Math.floor(((group - start) * bins) / span);
  for (let group = start; group < start + span; group++) counts[binOf(group)] += 1;
  for (let group = start; group < start + span; group++) {
    const { tokens } = axis.groups[group];
    for (const t of tokens) {
      bin[t] = binOf(group);
      weight[t] = 1 / counts[bin[t]] / (role === 'rows' ? tokens.length : 1);
    }
  }
  const tokens = axis.groups.slice(start, start + span).flatMap((group) => group.tokens);
  return { bins, bin, weight, tokens };
}

/** Every token a bin of its own. */
export function everyToken(n) {
  return { bins: n, bin: Int32Array.from({ length: n }, (_, t) => t), weight: new Float64Array(n).fill(1) };
}

/** In words, how many of `span` cells a side stand behind each of the screen's `pixels`; empty where none shares one. */
export function poolingInWords(span, pixels) {
  if (span <= pixels) return '';
  const side = span / pixels;
  if (side < 1.5) return 'Cells are a little smaller than the screen’s pixels. Zoom in for single cells.';
  const cells = Number.isInteger(side) ? `${side} × ${side}` : `about ${side.toFixed(1)} × ${side.toFixed(1)}`;
  return `${pixels} × ${pixels} pixels stand for ${count(span)} × ${count(span)} cells: each is the mean of ${cells}. Zoom in for single cells.`;
}
