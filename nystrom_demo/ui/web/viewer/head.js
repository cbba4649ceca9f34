// The head's numbers, from what the server sends: q and k (seq × dim), kernel_2's pseudo-inverse (m × m), float32.
//
// The n × n maps are never sent. Exact attention is softmax(scale · q kᵀ), landmark attention the product
// kernel_1 · kernel_2⁺ · kernel_3 with landmarks that are means over segments; both are cheaper to compute here than to
// send, and any cell is then at hand in full precision, however large the text.

import { everyToken } from './axes.js';

function floats(base64) {
  const characters = atob(base64);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return new Float32Array(bytes.buffer);
}

/** The payload with its arrays decoded and the kernels computed: kernel_1 (n × m), kernel_3 (m × n), row sums. */
export function openHead(payload) {
  const head = { ...payload, q: Float64Array.from(floats(payload.q)), k: Float64Array.from(floats(payload.k)) };
  head.logSums = new Float64Array(head.n).fill(NaN); // each row's softmax denominator, once something needs it
  if (head.exact) {
    head.rowSums = new Float64Array(head.n).fill(1);
    return head;
  }
  const { n, m, dim, scale, segments } = head;
  head.kernel_2_inv = Float64Array.from(floats(payload.kernel_2_inv));
  head.kernel_1 = softmaxRows(head.q, segmentMeans(head.k, segments, m, dim), n, m, dim, scale);
  head.kernel_3 = softmaxRows(segmentMeans(head.q, segments, m, dim), head.k, m, n, dim, scale);
  // kernel_3's rows sum to one, so a row of the map sums to kernel_1's row times the row sums of the inverse.
  const ones = new Float64Array(m).fill(1);
  head.rowSums = product(head.kernel_1, product(head.kernel_2_inv, ones, m, m, 1), n, m, 1);
  return head;
}

function segmentMeans(x, segments, m, dim) {
  const means = new Float64Array(m * dim);
  const lengths = new Float64Array(m);
  segments.forEach((segment, t) => {
    lengths[segment] += 1;
    for (let c = 0; c < dim; c++) means[segment * dim + c] += x[t * dim + c];
  });
  for (let i = 0; i < means.length; i++) means[i] /= lengths[Math.floor(i / dim)];
  return means;
}

/** The scaled logits of one query against `count` keys, into `out`: four keys side by side, since a sum alone would wait
 * for each of its own additions. */
function logitsOf(q, row, k, count, dim, scale, out) {
  const from = row * dim;
  let u = 0;
  for (; u + 3 < count; u += 4) {
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    const k0 = u * dim;
    const k1 = k0 + dim;
    const k2 = k1 + dim;
    const k3 = k2 + dim;
    for (let c = 0; c < dim; c++) {
      const x = q[from + c];
      s0 += x * k[k0 + c];
      s1 += x * k[k1 + c];
      s2 += x * k[k2 + c];
      s3 += x * k[k3 + c];
    }
    out[u] = scale * s0;
    out[u + 1] = scale * s1;
    out[u + 2] = scale * s2;
    out[u + 3] = scale * s3;
  }
  for (; u < count; u++) out[u] = scale * dot(q, from, k, u * dim, dim);
}

/** Σ a[i] b[j] from two places on. */
function dot(a, i, b, j, dim) {
  let sum = 0;
  for (let c = 0; c < dim; c++) sum += a[i + c] * b[j + c];
  return sum;
}

function softmaxRows(q, k, rows, columns, dim, scale) {
  const weights = new Float64Array(rows * columns);
  for (let t = 0; t < rows; t++) {
    const row = weights.subarray(t * columns, (t + 1) * columns);
    logitsOf(q, t, k, columns, dim, scale, row);
    const logSum = logSumExp(row);
    for (let u = 0; u < columns; u++) row[u] = Math.exp(row[u] - logSum);
  }
  return weights;
}

function logSumExp(values) {
  let top = -Infinity;
  for (let i = 0; i < values.length; i++) top = Math.max(top, values[i]);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - top);
  return top + Math.log(sum);
}

/** A row's softmax denominator as a logarithm, so that any exact cell is one dot product away. */
function logSumOf(head, row) {
  if (Number.isNaN(head.logSums[row])) {
    const logits = new Float64Array(head.n);
    logitsOf(head.q, row, head.k, head.n, head.dim, head.scale, logits);
    head.logSums[row] = logSumExp(logits);
  }
  return head.logSums[row];
}

/** a (rows × inner) times b (inner × columns), both row by row. */
export function product(a, b, rows, inner, columns) {
  const out = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    const into = out.subarray(i * columns, (i + 1) * columns);
    for (let l = 0; l < inner; l++) {
      const factor = a[i * inner + l];
      if (factor === 0) continue;
      const from = l * columns;
      for (let j = 0; j < columns; j++) into[j] += factor * b[from + j];
    }
  }
  return out;
}

/** Exact attention pooled to rows.bins × columns.bins; `rows` and `columns` are spreads (axes.js). */
export function exactGrid(head, rows, columns) {
  const { n, q, k, dim, scale, logSums } = head;
  const grid = new Float64Array(rows.bins * columns.bins);
  const logits = new Float64Array(n);
  for (let t = 0; t < n; t++) {
    if (rows.bin[t] < 0) continue;
    logitsOf(q, t, k, n, dim, scale, logits);
    if (Number.isNaN(logSums[t])) logSums[t] = logSumExp(logits);
    const into = grid.subarray(rows.bin[t] * columns.bins, (rows.bin[t] + 1) * columns.bins);
    for (let u = 0; u < n; u++) {
      const bin = columns.bin[u];
      if (bin >= 0) into[bin] += rows.weight[t] * columns.weight[u] * Math.exp(logits[u] - logSums[t]);
    }
  }
  return grid;
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
