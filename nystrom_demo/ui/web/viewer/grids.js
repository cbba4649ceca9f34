// The three grids of a window of the maps, and their painted pictures.

import { paint, percentile, signedPixels, weightColour, weightPixels } from '../lib/colour.js';
import { MOST_PIXELS, spread } from './axes.js';
import { exactGrid, landmarkGrid, pooledKernel1, pooledKernel3, sumOf } from './head.js';

export const MOST_RINGS = 150; // more would hide the map

/** Grids of `frame` {row, column, span} on `axis`, their common scale, and which pixels the top-p % choice keeps. */
export function makeGrids(head, axis, frame, options) {
  const rows = spread(axis, head.n, 'rows', frame.row, frame.span);
  const columns = spread(axis, head.n, 'columns', frame.column, frame.span);
  const exact = exactGrid(head, rows, columns);
  const landmark = head.exact ? exact : landmarkGrid(head, rows, columns);
  const difference = exact.map((value, i) => landmark[i] - value);
  const size = rows.bins;
  const kept = options.top < 100 ? keepTop(exact, size, options.top / 100) : null;
  return {
    frame,
    size,
    exact,
    landmark,
    difference,
    kept,
    lowest: lowestPlaces(landmark, kept),
    top: percentile([exact, landmark], 0.998),
    differenceTop: percentile([difference], 0.998),
  };
}

/** Places of the most negative of the kept cells, lowest first, at most MOST_RINGS of them. */
function lowestPlaces(grid, kept) {
  const places = [];
  for (let i = 0; i < grid.length; i++) if (grid[i] < 0 && (!kept || kept[i])) places.push(i);
  return places.sort((a, b) => grid[a] - grid[b]).slice(0, MOST_RINGS);
}

/** 1 where a cell is among the largest of its row that together hold `share` of the row, else 0. */
function keepTop(grid, size, share) {
  const kept = new Uint8Array(grid.length);
  for (let r = 0; r < size; r++) {
    const row = grid.subarray(r * size, (r + 1) * size);
    const order = Array.from(row.keys()).sort((a, b) => row[b] - row[a]);
    let wanted = share * sumOf(row);
    for (const c of order) {
      kept[r * size + c] = 1;
      wanted -= row[c];
      if (wanted <= 0) break;
    }
  }
  return kept;
}

/** Canvases {exact, landmark, difference} of the grids in the theme's colours. */
export function paintGrids(grids, scales, marks) {
  const { size, kept, top, differenceTop } = grids;
  const fade = (pixels) => {
    if (kept) for (let i = 0; i < pixels.length; i++) if (!kept[i]) pixels[i] = scales.faded;
  };
  const weights = (grid) => (pixels) => {
    weightPixels(scales.weight, grid, top)(pixels);
    if (marks)
      for (let i = 0; i < pixels.length; i++) if (grid[i] < 0) pixels[i] = weightColour(scales.negative, -grid[i], top);
    fade(pixels);
  };
  const signed = (pixels) => {
    signedPixels(scales.difference, grids.difference, differenceTop)(pixels);
    fade(pixels);
  };
  return {
    exact: paint(size, size, weights(grids.exact)),
    landmark: paint(size, size, weights(grids.landmark)),
    difference: paint(size, size, signed),
  };
}

/** The factors pooled to at most MOST_PIXELS a side, painted in their roles' colours, with the scales' ends. */
export function paintFactors(head, axis, scales) {
  const tokens = { rows: spread(axis, head.n, 'rows'), columns: spread(axis, head.n, 'columns') };
  const first = fewerColumns(pooledKernel1(head, tokens.rows), tokens.rows.bins, head.m);
  const third = fewerRows(pooledKernel3(head, tokens.columns), head.m, tokens.columns.bins);
  const middle = pooledInverse(head);
  const tops = {
    kernel_1: percentile([first.grid], 0.998),
    kernel_2: percentile([middle.grid], 0.998),
    kernel_3: percentile([third.grid], 0.998),
  };
  return {
    tops,
    kernel_1: paint(first.rows, first.columns, weightPixels(scales.kernel_1, first.grid, tops.kernel_1)),
    kernel_2: paint(middle.rows, middle.columns, signedPixels(scales.kernel_2, middle.grid, tops.kernel_2)),
    kernel_3: paint(third.rows, third.columns, weightPixels(scales.kernel_3, third.grid, tops.kernel_3)),
  };
}

function pooledInverse(head) {
  if (!head.exact) {
    const half = fewerColumns(head.kernel_2_inv, head.m, head.m);
    return fewerRows(half.grid, half.rows, half.columns);
  }
  const side = Math.min(head.m, MOST_PIXELS);
  const grid = Float64Array.from({ length: side * side }, (_, i) => (i % (side + 1) === 0 ? 1 : 0));
  return { grid, rows: side, columns: side };
}

/** Columns averaged down to at most MOST_PIXELS. */
function fewerColumns(grid, rows, columns) {
  const bins = Math.min(columns, MOST_PIXELS);
  if (bins === columns) return { grid, rows, columns };
  const out = new Float64Array(rows * bins);
  const counts = new Float64Array(bins);
  for (let c = 0; c < columns; c++) counts[Math.floor((c * bins) / columns)] += 1;
  for (let i = 0; i < grid.length; i++) {
    const bin = Math.floor(((i % columns) * bins) / columns);
    out[Math.floor(i / columns) * bins + bin] += grid[i] / counts[bin];
  }
  return { grid: out, rows, columns: bins };
}

/** Rows averaged down to at most MOST_PIXELS. */
function fewerRows(grid, rows, columns) {
  const bins = Math.min(rows, MOST_PIXELS);
  if (bins === rows) return { grid, rows, columns };
  const out = new Float64Array(bins * columns);
  const counts = new Float64Array(bins);
  for (let r = 0; r < rows; r++) counts[Math.floor((r * bins) / rows)] += 1;
  for (let i = 0; i < grid.length; i++) {
    const bin = Math.floor((Math.floor(i / columns) * bins) / rows);
    out[bin * columns + (i % columns)] += grid[i] / counts[bin];
  }
  return { grid: out, rows: bins, columns };
}
