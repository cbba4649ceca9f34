// One head's numbers, from what the server sends: q and k (n × dim) and kernel_2's pseudo-inverse (m × m), float32.
//
// The n × n maps are never sent: the engine makes them, and any cell is then at hand in full precision, however large
// the text. With other landmarks the head is computed here altogether; see `withLandmarks`.

import {
  dot,
  landmarkMap,
  logSumExp,
  nystromFactors,
  product,
  rowProducts,
  rowSums,
  segmentMeans,
  softmaxAttentionMap,
} from '../engine.js';
import { everyToken } from './axes.js';

/** Whole maps are kept up to so many tokens, 8 MB each; longer ones are made in parts, and pooled. */
export const MOST_WHOLE = 1024;
const ROWS_AT_ONCE = 64;

function floats(base64) {
  const characters = atob(base64);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return Float64Array.from(new Float32Array(bytes.buffer));
}

/** The payload with its arrays decoded and the kernels computed: kernel_1 (n × m), kernel_3 (m × n), row sums. `before`
 * is the head shown last, whose exact map serves on where only the landmarks are others. */
export function openHead(payload, before = null) {
  const head = { ...payload, q: floats(payload.q), k: floats(payload.k), coefficients: floats(payload.coefficients) };
  if (['text', 'layer', 'head', 'q'].every((name) => before?.sent?.[name] === payload[name]))
    head.exactMap = before.exactMap;
  head.sent = payload;
  head.logSums = new Float64Array(head.n).fill(NaN); // each row's softmax denominator, once something needs it
  if (head.exact) return { ...head, rowSums: new Float64Array(head.n).fill(1) };
  const { n, m, dim, scale } = head;
  head.kernel_2_inv = floats(payload.kernel_2_inv);
  head.kernel_1 = softmaxAttentionMap(head.q, segmentMeans(head.k, n, dim, m), n, m, dim, scale);
  head.kernel_3 = softmaxAttentionMap(segmentMeans(head.q, n, dim, m), head.k, m, n, dim, scale);
  head.rowSums = rowSums(head);
  return head;
}

/** Whether `withLandmarks` can tell of m landmarks, in a frame or a few; what it cannot is the server's to tell. */
export function isLive({ n, own_estimate: own, coefficients }, m, steps) {
  if (n > MOST_WHOLE) return false;
  return m === n || ((own || m <= coefficients.length) && 4 * steps * m ** 3 + n * n * m < MOST_PRODUCTS);
}

const MOST_PRODUCTS = 4e8;

/** The same head on m landmarks and after so many steps of the pseudo-inverse, computed here. */
export function withLandmarks(head, m, steps) {
  const { n, dim, q, k, scale, own_estimate: own, coefficients } = head;
  const exactMap = wholeExactMap(head);
  const common = { ...head, m, pinv_iterations: steps, exactMap, exact: m === n };
  if (m === n)
    return {
      ...common,
      map: exactMap,
      rowSums: new Float64Array(n).fill(1),
      segments: Array.from({ length: n }, (_, t) => t),
    };
  const c = own ? undefined : coefficients[m - 1];
  const factors = nystromFactors(q, k, { n, dim, numLandmarks: m, pinvIterations: steps, c, scale });
  return { ...common, ...factors, map: landmarkMap(factors), rowSums: rowSums(factors) };
}

function wholeExactMap(head) {
  return head.exactMap ?? softmaxAttentionMap(head.q, head.k, head.n, head.n, head.dim, head.scale);
}

/** A row's softmax denominator as a logarithm, so that any exact cell is one dot product away. */
function logSumOf(head, row) {
  if (Number.isNaN(head.logSums[row])) head.logSums[row] = logSumExp(logitsOf(head, row, 1));
  return head.logSums[row];
}

/** The scaled logits of `count` rows from `start` on, count × n. */
function logitsOf({ q, k, n, dim, scale }, start, count) {
  const logits = rowProducts(q.subarray(start * dim, (start + count) * dim), k, count, dim, n);
  for (let i = 0; i < logits.length; i++) logits[i] *= scale;
  return logits;
}

/** Exact attention pooled to rows.bins × columns.bins; `rows` and `columns` are spreads (axes.js). */
export function exactGrid(head, rows, columns) {
  const { n, logSums, exactMap } = head;
  if (exactMap) return pooled(exactMap, n, rows, columns);
  const grid = new Float64Array(rows.bins * columns.bins);
  for (let start = 0; start < n; start += ROWS_AT_ONCE) {
    const count = Math.min(ROWS_AT_ONCE, n - start);
    if (rows.bin.subarray(start, start + count).every((bin) => bin < 0)) continue;
    const logits = logitsOf(head, start, count);
    for (let t = start; t < start + count; t++) {
      if (rows.bin[t] < 0) continue;
      const row = logits.subarray((t - start) * n, (t - start + 1) * n);
      if (Number.isNaN(logSums[t])) logSums[t] = logSumExp(row);
      for (let u = 0; u < n; u++) row[u] = Math.exp(row[u] - logSums[t]);
      addPooled(grid, row, 0, t, rows, columns);
    }
  }
  return grid;
}

/** A whole map (n × n) pooled to rows.bins × columns.bins. */
function pooled(map, n, rows, columns) {
  const grid = new Float64Array(rows.bins * columns.bins);
  for (let t = 0; t < n; t++) if (rows.bin[t] >= 0) addPooled(grid, map, t * n, t, rows, columns);
  return grid;
}

/** Adds token t's row, which begins at `from`, to the grid. */
function addPooled(grid, map, from, t, rows, columns) {
  const to = rows.bin[t] * columns.bins;
  for (let u = 0; u < columns.bin.length; u++) {
    const bin = columns.bin[u];
    if (bin >= 0) grid[to + bin] += rows.weight[t] * columns.weight[u] * map[from + u];
  }
}

/** kernel_1 with its rows pooled, (rows.bins × m). */
export function pooledKernel1(head, rows) {
  if (head.exact) return exactGrid(head, rows, everyToken(head.n));
  const { n, m, kernel_1 } = head;
  const pooled = new Float64Array(rows.bins * m);
  for (let t = 0; t < n; t++) {
    if (rows.bin[t] < 0) continue;
    for (let a = 0; a < m; a++) pooled[rows.bin[t] * m + a] += rows.weight[t] * kernel_1[t * m + a];
  }
  return pooled;
}

/** kernel_3 with its columns pooled, (m × columns.bins). With a landmark a token it picks landmark j's token. */
export function pooledKernel3(head, columns) {
  const { n, m, kernel_3 } = head;
  const pooled = new Float64Array(m * columns.bins);
  for (let u = 0; u < n; u++) {
    const bin = columns.bin[u];
    if (bin < 0) continue;
    if (head.exact) pooled[u * columns.bins + bin] += columns.weight[u];
    else for (let a = 0; a < m; a++) pooled[a * columns.bins + bin] += columns.weight[u] * kernel_3[a * n + u];
  }
  return pooled;
}

/** kernel_1 · kernel_2⁺ of rows of kernel_1: with what weight they take what each landmark gathers. */
export function readersOf(head, kernel1Rows, rows) {
  return head.exact ? kernel1Rows : product(kernel1Rows, head.kernel_2_inv, rows, head.m, head.m);
}

/** Landmark attention pooled like exactGrid. Means pass through the product, so the factors are pooled, not the map. */
export function landmarkGrid(head, rows, columns) {
  if (head.map) return pooled(head.map, head.n, rows, columns);
  const readers = readersOf(head, pooledKernel1(head, rows), rows.bins);
  return product(readers, pooledKernel3(head, columns), rows.bins, head.m, columns.bins);
}

/** One cell of both maps and the landmark map's sum: `rows`, `columns` are spreads of a single bin. */
export function cellNumbers(head, rows, columns) {
  const exact = sumOf(exactGridOfFew(head, rows, columns));
  if (head.exact) return { exact, landmark: exact, weight: null, gathered: null };
  const weight = readersOf(head, pooledKernel1(head, rows), 1);
  const gathered = pooledKernel3(head, columns);
  let landmark = 0;
  for (let a = 0; a < head.m; a++) landmark += weight[a] * gathered[a];
  return { exact, landmark, weight, gathered };
}

/** The exact terms between the few tokens of one cell, each already weighted. */
function exactGridOfFew(head, rows, columns) {
  const { q, k, dim, scale } = head;
  return rows.tokens.flatMap((t) =>
    columns.tokens.map((u) => {
      const logit = scale * dot(q, t * dim, k, u * dim, dim);
      return rows.weight[t] * columns.weight[u] * Math.exp(logit - logSumOf(head, t));
    }),
  );
}

export function sumOf(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
}
