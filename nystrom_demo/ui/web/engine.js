// Softmax attention of one head and its landmark (Nyström) approximation, as functions of typed arrays.
//
// Source: Xiong et al., "Nyströmformer" (arXiv 2102.03902). These are the functions of nystrom_demo/attention/, in their
// order and by their names: exact attention (eq. 2), landmarks as segment means (section 3.3), the pseudo-inverse
// (eq. 14), the three kernels and their product (eq. 13). tests/web holds them to what Python computes.
//
// Shapes: q, k, v are n × dim, of one head and one text without padding. A matrix is a Float64Array, row by row. Nothing
// here knows of a page, so that a worker can run it.

export const PINV_ITERATIONS = 6;
const ROUNDING = 2 ** -23;

/**
 * The factors of landmark attention: map = kernel_1 · kernel_2⁺ · kernel_3.
 * @typedef {object} Factors
 * @property {number} n tokens
 * @property {number} m landmarks
 * @property {Float64Array} kernel_1 n × m, each token's softmax over the landmarks' keys
 * @property {Float64Array} kernel_2 m × m, the landmarks' softmax over one another
 * @property {Float64Array} kernel_2_inv m × m, its pseudo-inverse after the chosen number of steps
 * @property {Float64Array} kernel_3 m × n, each landmark's softmax over the tokens' keys
 * @property {Int32Array} segments the landmark that each token is averaged into
 */

/** Exact attention softmax(q kᵀ · scale) v (eq. 2), n × dim. */
export function softmaxAttention(q, k, v, n, dim, scale = dim ** -0.5) {
  return product(softmaxAttentionMap(q, k, n, n, dim, scale), v, n, n, dim);
}

/** The matrix softmax(q kᵀ · scale) itself, rows × columns: rows of q read from rows of k. */
export function softmaxAttentionMap(q, k, rows, columns, dim, scale = dim ** -0.5) {
  const weights = rowProducts(q, k, rows, dim, columns);
  for (let t = 0; t < rows; t++) {
    const row = weights.subarray(t * columns, (t + 1) * columns);
    for (let u = 0; u < columns; u++) row[u] *= scale;
    const logSum = logSumExp(row);
    for (let u = 0; u < columns; u++) row[u] = Math.exp(row[u] - logSum);
  }
  return weights;
}

/** Which of m segments each of n tokens falls in, and the segments' lengths: the first n mod m hold a token more. */
export function segmentIndex(n, m) {
  const short = Math.floor(n / m);
  const numLong = n % m;
  const lengths = Int32Array.from({ length: m }, (_, a) => short + (a < numLong ? 1 : 0));
  const segments = new Int32Array(n);
  let token = 0;
  lengths.forEach((length, a) => {
    segments.fill(a, token, token + length);
    token += length;
  });
  return { segments, lengths };
}

/** Landmarks of x (n × dim): the means of consecutive segments (section 3.3), m × dim with m = min(numLandmarks, n). */
export function segmentMeans(x, n, dim, numLandmarks) {
  checkNumLandmarks(numLandmarks);
  const m = Math.min(numLandmarks, n);
  const { segments, lengths } = segmentIndex(n, m);
  const means = new Float64Array(m * dim);
  for (let t = 0; t < n; t++) {
    const into = segments[t] * dim;
    for (let c = 0; c < dim; c++) means[into + c] += x[t * dim + c];
  }
  for (let a = 0; a < m; a++) for (let c = 0; c < dim; c++) means[a * dim + c] /= lengths[a];
  return means;
}

/**
 * Approximate pseudo-inverse of a (m × m) by Newton-like steps (eq. 14) from Z₀ = Aᵀ / c.
 * @param {Float64Array} a
 * @param {number} m
 * @param {number} [numIterations]
 * @param {number} [c] the first estimate's divisor, the matrix's own norms unless given: for the estimate over all heads
 *   it is the largest of the heads'
 * @param {number} [rounding] that of the numbers which the steps stand for: float32's, in which the server computes. A
 *   step is accepted where it brings ‖I − A Z‖ down and ‖Z‖₁ ‖Z‖∞ ‖A‖₁ ‖A‖∞ stays within its inverse
 */
export function iterativePinv(
  a,
  m,
  numIterations = PINV_ITERATIONS,
  c = initialCoefficient(a, m),
  rounding = ROUNDING,
) {
  if (!(numIterations >= 0)) throw new RangeError(`num_iterations must be at least 0, got ${numIterations}.`);
  let z = new Float64Array(m * m);
  for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) z[i * m + j] = a[j * m + i] / c;
  let az = product(a, z, m, m, m);
  let residual = residualOf(az, m);
  const bound = 1 / (rounding * initialCoefficient(a, m));
  for (let step = 0; step < numIterations; step++) {
    const next = pinvStep(z, az, m);
    const nextAz = product(a, next, m, m, m);
    const nextResidual = residualOf(nextAz, m);
    const accepted = nextResidual < residual * (1 - rounding) && initialCoefficient(next, m) <= bound;
    if (!accepted) break; // and all after it would change nothing
    [z, az, residual] = [next, nextAz, nextResidual];
  }
  return z;
}

/** ‖I − A Z‖²_F, which each step has to bring down. */
function residualOf(az, m) {
  let sum = 0;
  for (let i = 0; i < m; i++) for (let j = 0; j < m; j++) sum += ((i === j ? 1 : 0) - az[i * m + j]) ** 2;
  return sum;
}

/** One step from Z and A Z: Z ← ¼ Z (13 I − A Z (15 I − A Z (7 I − A Z))). */
export function pinvStep(z, az, m) {
  const inner = product(az, az, m, m, m);
  for (let i = 0; i < inner.length; i++) inner[i] = 7 * az[i] - inner[i]; // A Z (7 I − A Z)
  const outer = product(az, inner, m, m, m);
  for (let i = 0; i < outer.length; i++) outer[i] = 15 * az[i] - outer[i]; // A Z (15 I − inner)
  const next = product(z, outer, m, m, m);
  for (let i = 0; i < next.length; i++) next[i] = (13 * z[i] - next[i]) / 4;
  return next;
}

/** ‖A‖₁ ‖A‖∞, from which the steps converge. */
export function initialCoefficient(a, m) {
  const columns = new Float64Array(m);
  let rows = 0;
  for (let i = 0; i < m; i++) {
    let row = 0;
    for (let j = 0; j < m; j++) {
      columns[j] += Math.abs(a[i * m + j]);
      row += Math.abs(a[i * m + j]);
    }
    rows = Math.max(rows, row);
  }
  return columns.reduce((most, column) => Math.max(most, column), 0) * rows;
}

/**
 * The three kernels and the pseudo-inverse (eq. 13). At m ≥ n each token is its own landmark: kernel_1 is the exact map,
 * kernel_2, its inverse and kernel_3 are the identity.
 * @param {Float64Array} q
 * @param {Float64Array} k
 * @param {{n: number, dim: number, numLandmarks: number, pinvIterations?: number, c?: number, rounding?: number, scale?: number}} options
 * @returns {Factors}
 */
export function nystromFactors(q, k, options) {
  const { n, dim, numLandmarks, pinvIterations, c, rounding, scale = dim ** -0.5 } = options;
  checkNumLandmarks(numLandmarks);
  const m = Math.min(numLandmarks, n);
  const { segments } = segmentIndex(n, m);
  if (m === n) {
    const kernel_1 = softmaxAttentionMap(q, k, n, n, dim, scale);
    return { n, m, kernel_1, kernel_2: identity(n), kernel_2_inv: identity(n), kernel_3: identity(n), segments };
  }
  const qLandmarks = segmentMeans(q, n, dim, m);
  const kLandmarks = segmentMeans(k, n, dim, m);
  const kernel_1 = softmaxAttentionMap(q, kLandmarks, n, m, dim, scale);
  const kernel_2 = softmaxAttentionMap(qLandmarks, kLandmarks, m, m, dim, scale);
  const kernel_2_inv = iterativePinv(kernel_2, m, pinvIterations, c, rounding);
  const kernel_3 = softmaxAttentionMap(qLandmarks, k, m, n, dim, scale);
  return { n, m, kernel_1, kernel_2, kernel_2_inv, kernel_3, segments };
}

/** The n × n matrix kernel_1 · kernel_2⁺ · kernel_3 that stands in for the exact map. @param {Factors} factors */
export function landmarkMap(factors) {
  const { n, m, kernel_1, kernel_3 } = factors;
  if (m === n) return kernel_1.slice();
  return product(readersOf(factors), kernel_3, n, m, n);
}

/** kernel_1 · kernel_2⁺, n × m: with what weight each token takes what each landmark gathers. @param {Factors} factors */
export function readersOf({ n, m, kernel_1, kernel_2_inv }) {
  return product(kernel_1, kernel_2_inv, n, m, m);
}

/** Landmark attention kernel_1 · (kernel_2⁺ · (kernel_3 · v)) (eq. 15), n × dim. @param {Factors} factors */
export function nystromAttention({ n, m, kernel_1, kernel_2_inv, kernel_3 }, v, dim) {
  const gathered = product(kernel_3, v, m, n, dim);
  return product(kernel_1, product(kernel_2_inv, gathered, m, m, dim), n, m, dim);
}

/** What each row of the landmark map sums to: kernel_3's rows sum to one. @param {Factors} factors */
export function rowSums({ n, m, kernel_1, kernel_2_inv }) {
  const ones = new Float64Array(m).fill(1);
  return product(kernel_1, product(kernel_2_inv, ones, m, m, 1), n, m, 1);
}

/** ‖approximate − exact‖ / ‖exact‖ in the Frobenius norm, of two maps or two outputs. */
export function relativeError(exact, approximate) {
  let off = 0;
  let whole = 0;
  for (let i = 0; i < exact.length; i++) {
    off += (approximate[i] - exact[i]) ** 2;
    whole += exact[i] ** 2;
  }
  return Math.sqrt(off / whole);
}

/** How many entries of a map are below zero. */
export function negativeEntries(map) {
  let count = 0;
  for (let i = 0; i < map.length; i++) if (map[i] < 0) count += 1;
  return count;
}

/**
 * How the landmark map's entry (i, j) comes about: a line a landmark, whose terms add up to the entry.
 * @param {Factors} factors
 */
export function cellRecipe({ n, m, kernel_1, kernel_2_inv, kernel_3 }, i, j) {
  for (const [name, index] of [
    ['i', i],
    ['j', j],
  ])
    if (!(index >= 0 && index < n)) throw new RangeError(`${name} must be from 0 to ${n - 1}, got ${index}.`);
  const weights = product(kernel_1.subarray(i * m, (i + 1) * m), kernel_2_inv, 1, m, m);
  return Array.from(weights, (weight, landmark) => {
    const gathered = kernel_3[landmark * n + j];
    return { landmark, weight, gathered, term: weight * gathered };
  });
}

/** Σ a[i] b[j] over `length` places from i and j on. */
export function dot(a, i, b, j, length) {
  let sum = 0;
  for (let c = 0; c < length; c++) sum += a[i + c] * b[j + c];
  return sum;
}

/** log Σ exp(values), without overflow. */
export function logSumExp(values) {
  let top = -Infinity;
  for (let i = 0; i < values.length; i++) top = Math.max(top, values[i]);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i] - top);
  return top + Math.log(sum);
}

/** a (rows × inner) times b (inner × columns), both row by row. */
export function product(a, b, rows, inner, columns) {
  const transposed = new Float64Array(columns * inner);
  for (let l = 0; l < inner; l++) for (let j = 0; j < columns; j++) transposed[j * inner + l] = b[l * columns + j];
  return rowProducts(a, transposed, rows, inner, columns);
}

/**
 * Every row of a (rows × inner) with every row of b (columns × inner): a bᵀ, rows × columns. In blocks of two by four,
 * whose sums are independent and share what they read.
 */
export function rowProducts(a, b, rows, inner, columns) {
  const out = new Float64Array(rows * columns);
  const [evenRows, fours] = [rows - (rows % 2), columns - (columns % 4)];
  for (let i = 0; i < evenRows; i += 2)
    for (let j = 0; j < fours; j += 4)
      blockOfProducts(a, i * inner, b, j * inner, inner, out, i * columns + j, columns);
  for (let i = 0; i < rows; i++)
    for (let j = i < evenRows ? fours : 0; j < columns; j++)
      out[i * columns + j] = dot(a, i * inner, b, j * inner, inner);
  return out;
}

function blockOfProducts(a, a0, b, b0, inner, out, to, columns) {
  const a1 = a0 + inner;
  const b1 = b0 + inner;
  const b2 = b1 + inner;
  const b3 = b2 + inner;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let t0 = 0;
  let t1 = 0;
  let t2 = 0;
  let t3 = 0;
  for (let l = 0; l < inner; l++) {
    const x = a[a0 + l];
    const y = a[a1 + l];
    const z0 = b[b0 + l];
    const z1 = b[b1 + l];
    const z2 = b[b2 + l];
    const z3 = b[b3 + l];
    s0 += x * z0;
    s1 += x * z1;
    s2 += x * z2;
    s3 += x * z3;
    t0 += y * z0;
    t1 += y * z1;
    t2 += y * z2;
    t3 += y * z3;
  }
  out[to] = s0;
  out[to + 1] = s1;
  out[to + 2] = s2;
  out[to + 3] = s3;
  out[to + columns] = t0;
  out[to + columns + 1] = t1;
  out[to + columns + 2] = t2;
  out[to + columns + 3] = t3;
}

function identity(n) {
  const matrix = new Float64Array(n * n);
  for (let i = 0; i < n; i++) matrix[i * (n + 1)] = 1;
  return matrix;
}

function checkNumLandmarks(numLandmarks) {
  if (!Number.isInteger(numLandmarks) || numLandmarks < 1)
    throw new RangeError(`num_landmarks must be an integer of at least 1, got ${numLandmarks}.`);
}
