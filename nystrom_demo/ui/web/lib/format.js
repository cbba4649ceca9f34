// Numbers as a person reads them.

export function grouped(number) {
  return number.toLocaleString('en-US');
}

export function printed(value, decimals) {
  const text = Math.abs(value).toFixed(decimals);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

export function printedSigned(value, decimals) {
  return Number(Math.abs(value).toFixed(decimals)) !== 0 && value > 0
    ? `+${printed(value, decimals)}`
    : printed(value, decimals);
}

/** Two significant digits, never in powers of ten. */
export function rough(value) {
  return String(Number(value.toPrecision(2)));
}

export function short(value) {
  if (value === null || value === undefined) return 'none';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1).replace('e+', 'e');
  return Number(value.toPrecision(3)).toLocaleString('en', { maximumSignificantDigits: 3 });
}

export function percent(share) {
  return (100 * share).toFixed(share < 0.0995 ? 1 : 0);
}
