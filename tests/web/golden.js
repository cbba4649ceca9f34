// What Python wrote (tests/web_golden.py), and the inputs that both sides draw.

import { readFileSync } from 'node:fs';

/** A golden file by its name. */
export function golden(name) {
  return JSON.parse(readFileSync(new URL(`./golden/${name}.json`, import.meta.url), 'utf8'));
}

/** q, k, v of each head, n × dim, drawn as `inputs` of tests/web_golden.py draws them. */
export function inputs(kind, n, { heads, dim, spread }) {
  let state = 2024 + n;
  const draw = () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0;
    return Math.fround((state / 2 ** 31 - 1) * spread[kind]);
  };
  const rowOf = { constant: () => 0, repeated: (t) => (t % 3) % n }[kind] ?? ((t) => t);
  const [q, k, v] = [0, 1, 2].map(() =>
    Array.from({ length: heads }, () => {
      const drawn = Float64Array.from({ length: n * dim }, draw);
      return Float64Array.from({ length: n * dim }, (_, i) => drawn[rowOf(Math.floor(i / dim)) * dim + (i % dim)]);
    }),
  );
  return { q, k, v };
}
