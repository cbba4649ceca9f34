// Every number as a person reads it: the functions of nystrom_demo/formatting.py by their names. Halves are rounded up, a
// minus is a true minus, and a number keeps its unit on its line (unbreakable space).

const SPACE = '\u00a0';
const GROUPED = new Intl.NumberFormat('en-US', { maximumFractionDigits: 20 });
const RAISED = { '−': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹' };
/** @type {[string, number][]} */
const TIMES = [
  ['d', 86400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
  ['ms', 1e-3],
  ['µs', 1e-6],
];
/** @type {[string, number][]} */
const SIZES = [
  ['TiB', 2 ** 40],
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10],
  ['bytes', 1],
];

/** 33,000: a whole number with its thousands set apart. */
export function count(value) {
  return signed(value, fixed(value, 0));
}

/** 1 token, 33,000 tokens: a count with its noun in the right number. */
export function counted(value, one, many) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** 0.123, 12,300, 1.1 × 10¹²: three significant digits, with a power of ten where there would be many zeros. What is
 * missing is none. */
export function number(value, { sign = false } = {}) {
  if (value === null || value === undefined) return 'none';
  if (Number.isNaN(value)) return 'not a number';
  if (!Number.isFinite(value)) return signed(value, '∞', sign);
  const size = rounded(value, 3);
  if (size === 0 || (size >= 1e-4 && size < 1e6)) return signed(value, significant(value, 3), sign);
  const [mantissa, power] = size.toExponential().split('e');
  return signed(value, `${mantissa} × 10${raised(Number(power))}`, sign);
}

/** 48 %, 4.8 %, 0.048 %: a share with two significant digits, and none after the point from ten on. */
export function percent(share) {
  const value = rounded(100 * share, 2);
  if (value > 0 && value < 0.001) return `under 0.001${SPACE}%`;
  const decimals = value === 0 ? 0 : Math.max(0, 1 - powerOf(value));
  return signed(share, fixed(100 * share, decimals)) + `${SPACE}%`;
}

/** 93.1 %; < 0.1 and > 99.9 where a digit more would say 0 or 100. */
export function asProbability(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.1) return `<${SPACE}0.1${SPACE}%`;
  if (value > 99.9 && value < 100) return `>${SPACE}99.9${SPACE}%`;
  return `${fixed(value, 1)}${SPACE}%`;
}

/** 20 µs, 12.3 ms, 4.85 s, 1.5 min, 2 h: seconds in the unit that fits, microseconds to days. */
export function duration(seconds) {
  return inUnits(seconds, TIMES);
}

/** 5 bytes, 2 KiB, 1.5 GiB: bytes in the unit that fits. */
export function memory(size) {
  return inUnits(size, SIZES);
}

/** 1.5×, 33,000×: how many times as much, with three significant digits. */
export function factor(ratio) {
  return `${number(ratio)}×`;
}

/** 0.123, 0.0012: three decimals, or two significant digits where those would show little; under a millionth 0.000. */
export function weight(value, { sign = false } = {}) {
  const size = Math.abs(value);
  const plain = size >= 1e-6 && size < 0.01 ? significant(value, 2) : fixed(value, 3);
  return signed(value, plain, sign);
}

/** 0.12300: as many decimals as said; what rounds to zero has no sign. */
export function decimal(value, decimals, { sign = false } = {}) {
  return signed(value, fixed(value, decimals), sign);
}

/** 0.12, or that it is under a thousandth: nobody reads 0.00001 in a sentence. */
export function distance(size) {
  return size === 0 || size >= 0.001 ? significant(size, 2) : 'under 0.001';
}

/** The size of a number to so many significant digits, its thousands set apart, zeros at its end left out. */
export function significant(value, digits) {
  return GROUPED.format(rounded(value, digits));
}

/** The size of a number to so many decimals, its thousands set apart. */
export function fixed(value, decimals) {
  const [whole, part] = Math.abs(value).toFixed(decimals).split('.');
  return (whole.length > 3 ? GROUPED.format(BigInt(whole)) : whole) + (part ? `.${part}` : '');
}

/** 10⁻⁵, 2 × 10⁶, 1024, 10,000: a mark of an axis, which has little room. */
export function tick(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e4) return signed(value, String(Math.abs(value)));
  if (Number.isInteger(value) && Math.abs(value) < 1e5) return count(value);
  const text = Number.isInteger(value) ? powered(value) : number(value);
  return text.replace(/^(−?)1 × /, '$1');
}

function powered(value) {
  const [mantissa, power] = rounded(value, 3).toExponential().split('e');
  return signed(value, `${mantissa} × 10${raised(Number(power))}`);
}

export function rounded(value, digits) {
  return Number(Math.abs(value).toPrecision(digits));
}

function powerOf(value) {
  return Number(value.toExponential().split('e')[1]);
}

function raised(power) {
  return signed(power, String(Math.abs(power))).replace(/./g, (letter) => RAISED[letter]);
}

export function signed(value, size, sign = false) {
  if (!/[^0.,]/.test(size)) return size;
  return `${value < 0 ? '−' : sign ? '+' : ''}${size}`;
}

function inUnits(value, units) {
  const fitting = units.find(([, size]) => rounded(value / size, 3) >= 1) ?? units[units.length - 1];
  return `${significant(value / fitting[1], 3)} ${fitting[0]}`;
}
