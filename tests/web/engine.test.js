// The engine against the package: same inputs, same numbers, same words.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as engine from '../../nystrom_demo/ui/web/engine.js';
import { golden, inputs } from './golden.js';

const { cases, refused, ...sizes } = golden('engine');
const { dim } = sizes;

/** Alike within 1e-5 of the largest of them. */
function near(found, wanted, what) {
  const [left, right] = [found, wanted].map((x) => (typeof x === 'number' ? [x] : Array.from(x)));
  assert.equal(left.length, right.length, what);
  const size = Math.max(1, ...right.map(Math.abs));
  left.forEach((value, i) => {
    assert.ok(Math.abs(value - right[i]) <= 1e-5 * size, `${what}: ${value} is not ${right[i]}`);
  });
}

/** Up to seven entries, spread over a matrix as Python spreads them. */
function some(matrix) {
  const count = Math.min(7, matrix.length);
  return Array.from(
    { length: count },
    (_, i) => matrix[Math.floor((i * (matrix.length - 1)) / Math.max(1, count - 1))],
  );
}

function coefficients({ q, k }, n, m) {
  return q.map((each, head) => {
    const landmarks = [each, k[head]].map((x) => engine.segmentMeans(x, n, dim, m));
    return engine.initialCoefficient(engine.softmaxAttentionMap(...landmarks, m, m, dim), m);
  });
}

for (const wanted of cases) {
  const { kind, n, m, steps, own } = wanted;
  test(`${kind} input, n = ${n}, m = ${m}, ${steps} steps, ${own ? 'its own' : 'all heads'} first estimate`, () => {
    const drawn = inputs(kind, n, sizes);
    const [q, k, v] = [drawn.q[0], drawn.k[0], drawn.v[0]];
    const of = coefficients(drawn, n, m);
    const c = own ? of[0] : Math.max(...of);
    const factors = engine.nystromFactors(q, k, {
      n,
      dim,
      numLandmarks: m,
      pinvIterations: steps,
      c,
      rounding: 2 ** -52,
    });
    const exact = engine.softmaxAttentionMap(q, k, n, n, dim);
    const landmark = engine.landmarkMap(factors);
    const output = engine.nystromAttention(factors, v, dim);
    const [i, j] = [Math.floor(n / 2), Math.floor(n / 3)];
    const sums = engine.rowSums(factors);
    near(c, wanted.c, 'c');
    near(some(exact), wanted.exact, 'exact map');
    near(some(landmark), wanted.landmark, 'landmark map');
    near(some(factors.kernel_2_inv), wanted.kernel_2_inv, 'pseudo-inverse');
    near(engine.relativeError(exact, landmark), wanted.frobenius, 'error of the map');
    near(engine.relativeError(engine.softmaxAttention(q, k, v, n, dim), output), wanted.output, 'error of the output');
    near([Math.min(...sums), Math.max(...sums)], wanted.row_sums, 'row sums');
    near(output.slice(i * dim, i * dim + 3), wanted.values, 'output');
    assert.equal(engine.negativeEntries(landmark.map((entry) => entry + 1e-9)), wanted.negative);
    assert.deepEqual(
      factors.segments.filter((_, t) => t % Math.max(1, Math.floor(n / 10)) === 0),
      Int32Array.from(wanted.segments),
    );
    const terms = engine.cellRecipe(factors, i, j).map(({ term }) => term);
    near(terms.slice(0, 4), wanted.recipe, 'terms of a cell');
    near(
      terms.reduce((sum, term) => sum + term, 0),
      landmark[i * n + j],
      'sum of the terms',
    );
  });
}

test('calls that the package refuses are refused in the same words', () => {
  const ones = new Float64Array(4).fill(1);
  const attempts = [
    () => engine.segmentMeans(ones, 2, 2, 0),
    () => engine.segmentMeans(ones, 2, 2, -3),
    () => engine.iterativePinv(ones, 2, -1),
    () => engine.cellRecipe(engine.nystromFactors(ones, ones, { n: 2, dim: 2, numLandmarks: 2 }), 2, 0),
  ];
  assert.deepEqual(
    attempts.map((attempt) => {
      try {
        return attempt();
      } catch (error) {
        return error.message;
      }
    }),
    refused.map(({ words }) => words),
  );
});

test('as many landmarks as tokens give the exact map', () => {
  const { q, k } = inputs('random', 60, sizes);
  const factors = engine.nystromFactors(q[0], k[0], { n: 60, dim, numLandmarks: 99 });
  assert.deepEqual(engine.landmarkMap(factors), engine.softmaxAttentionMap(q[0], k[0], 60, 60, dim));
});
