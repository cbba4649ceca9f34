// What is said about one head's maps: the sentences of ui/viewer/words.py, for landmarks that the browser computes.

import { relativeError } from '../engine.js';
import { count, decimal, number, percent, weight } from '../lib/format.js';

const ROW_SUM_SLACK = 0.01; // a row's sum is called off when it is further from one than this
const MARK = '↑'; // of capitals, see checkpoints/capitals.py

/**
 * The viewer's sentences that depend on the landmarks, and the cell where the maps differ most.
 * @param {{n: number, m: number, exactMap: Float64Array, map: Float64Array, rowSums: Float64Array,
 *   tokens: {label: string}[], words: Record<string, string>}} head
 */
export function landmarkWords(head) {
  const { n, m, exactMap: exact, map: landmark, tokens, words } = head;
  const labels = tokens.map((token) => token.label);
  const difference = m === n ? exact : landmark.map((value, i) => value - exact[i]);
  const places = { exact: extremes(exact), landmark: extremes(landmark), difference: extremes(difference) };
  const strongest = m === n ? places.exact.high : places.difference.widest;
  return {
    strongest: placeOf(strongest, n),
    words: {
      ...words,
      lead: leadOf(head, strongest, labels),
      negative: negativeOf(head, places.landmark),
      row_sums: rowSumsOf(head),
      landmark: pictureOf('Landmark attention', landmark, places.landmark.high, n, labels),
      difference:
        m === n
          ? 'Landmark minus exact attention: zero everywhere.'
          : differenceOf(difference, places.difference, n, labels),
      kernel_1: `kernel_1, ${count(n)} tokens over ${count(m)} landmarks`,
      kernel_2: `The pseudo-inverse of kernel_2, ${count(m)} by ${count(m)}`,
      kernel_3: `kernel_3, ${count(m)} landmarks over ${count(n)} tokens`,
    },
  };
}

function leadOf({ n, m, exactMap: exact, map: landmark }, strongest, labels) {
  const marks = labels.includes(MARK)
    ? ` The token ${MARK} says that the next word begins with a capital: this vocabulary has small letters only.`
    : '';
  if (m === n)
    return (
      `As many landmarks as tokens, ${count(n)}: each token is its own landmark, the landmark map is the exact map, ` +
      `and the difference is zero everywhere.${marks}`
    );
  const [row, column] = placeOf(strongest, n);
  return (
    `${count(m)} ${m === 1 ? 'landmark' : 'landmarks'} for ${count(n)} tokens, about ${number(n / m)} tokens each. ` +
    `The landmark map misses the exact one by ${percent(relativeError(exact, landmark))} of its size (Frobenius norm). ` +
    `They differ most where ‹${labels[row]}› reads ‹${labels[column]}›: ${weight(exact[strongest])} exactly, ` +
    `${weight(landmark[strongest])} through landmarks, ` +
    `${weight(landmark[strongest] - exact[strongest], { sign: true })}.${marks}`
  );
}

function negativeOf({ n, m, map: landmark }, { low, negative }) {
  if (m === n) return 'No entry is negative: with a landmark for each token the map is a softmax.';
  if (negative === 0)
    return `None of the ${count(n * n)} entries of the landmark map is negative here, though nothing forbids it.`;
  return (
    `${count(negative)} of the ${count(n * n)} entries of the landmark map (${percent(negative / n ** 2)}) are negative, ` +
    `the lowest ${weight(landmark[low])}. A softmax has none; the pseudo-inverse of kernel_2 has entries of both signs, ` +
    `and so can its product.`
  );
}

function rowSumsOf({ n, m, rowSums }) {
  if (m === n) return 'Every row sums to one, as a softmax does.';
  const off = rowSums.filter((sum) => Math.abs(sum - 1) > ROW_SUM_SLACK).length;
  return (
    `Rows of the landmark map sum to ${decimal(Math.min(...rowSums), 3)} … ${decimal(Math.max(...rowSums), 3)}; ` +
    `${count(off)} of ${count(n)} are more than ${ROW_SUM_SLACK} from one. kernel_1 and kernel_3 are softmaxes, but the ` +
    `pseudo-inverse between them is only approximate, so nothing holds the sums at one.`
  );
}

function pictureOf(name, map, high, n, labels) {
  const means = new Float64Array(n);
  for (let i = 0; i < map.length; i++) means[i % n] += map[i] / n;
  const most = extremes(means).high;
  const [row, column] = placeOf(high, n);
  return (
    `${name}, ${count(n)} by ${count(n)}, rows read from columns. Most is read from ‹${labels[most]}›, ` +
    `${percent(means[most])} on average; the largest entry is ${weight(map[high])}, where ` +
    `‹${labels[row]}› reads ‹${labels[column]}›.`
  );
}

function differenceOf(difference, { low, high }, n, labels) {
  const cell = (place) =>
    placeOf(place, n)
      .map((token) => `‹${labels[token]}›`)
      .join(' reads ');
  const said = (place) => `${weight(difference[place], { sign: true })} (${cell(place)})`;
  return `Landmark minus exact attention, from ${said(low)} to ${said(high)}.`;
}

/** Places of the lowest, the highest and the largest entry in size, and how many are negative. */
function extremes(values) {
  let [low, high, widest, negative] = [0, 0, 0, 0];
  for (let i = 0; i < values.length; i++) {
    if (values[i] < values[low]) low = i;
    if (values[i] > values[high]) high = i;
    if (Math.abs(values[i]) > Math.abs(values[widest])) widest = i;
    if (values[i] < 0) negative += 1;
  }
  return { low, high, widest, negative };
}

function placeOf(place, n) {
  return [Math.floor(place / n), place % n];
}
