// Numbers to colours. Weights grow with the square root, so that small ones stay visible beside the few large ones.

export const TABLE = 256;

function channels(colour) {
  return [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
}

/** TABLE colours, evenly spaced over the stops, as packed little-endian RGBA for a canvas. */
export function colourTable(stops) {
  const table = new Uint32Array(TABLE);
  for (let i = 0; i < TABLE; i++) {
    const place = (i / (TABLE - 1)) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    const [low, high] = [channels(stops[left]), channels(stops[left + 1])];
    const [r, g, b] = low.map((value, c) => Math.round(value + (high[c] - value) * (place - left)));
    table[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return table;
}

export function isDark() {
  return document.body.classList.contains('dark');
}

/** The scales of the current theme. Zero is the page's own ground; more weight is more ink. */
export function scalesOf(palette) {
  const ground = isDark() ? palette.ground.dark : palette.ground.light;
  const ink = isDark() ? '#ffffff' : '#000000';
  const towards = (colour) => [ground, colour, mix(colour, ink, 0.35)];
  const roles = palette.roles;
  return {
    weight: colourTable(isDark() ? palette.sequential : ['#ffffff', ...[...palette.sequential].reverse()]),
    difference: colourTable(isDark() ? darkDiverging(palette.diverging, ground) : palette.diverging),
    negative: colourTable([mix(ground, roles.negative, 0.6), roles.negative, mix(roles.negative, ink, 0.25)]),
    kernel_1: colourTable(towards(roles.kernel_1)),
    kernel_3: colourTable(towards(roles.kernel_3)),
    kernel_2: colourTable([...towards(roles.neutral).reverse(), ...towards(roles.kernel_2).slice(1)]),
    ground: channelsPacked(ground),
    faded: channelsPacked(mix(ground, roles.neutral, 0.12)),
  };
}

/** The diverging scale for a dark page: zero is the ground, and both ends grow lighter from it. */
function darkDiverging(stops, ground) {
  const half = (stops.length - 1) / 2;
  return [...stops.slice(1, half).reverse(), ground, ...stops.slice(half + 1, -1).reverse()];
}

function mix(low, high, share) {
  const [a, b] = [channels(low), channels(high)];
  return (
    '#' +
    a
      .map((value, c) =>
        Math.round(value + (b[c] - value) * share)
          .toString(16)
          .padStart(2, '0'),
      )
      .join('')
  );
}

function channelsPacked(colour) {
  const [r, g, b] = channels(colour);
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** Packed colour of a weight on a scale that ends at `top`. */
export function weightColour(table, value, top) {
  const share = value > 0 && top > 0 ? Math.sqrt(Math.min(1, value / top)) : 0;
  return table[Math.round(share * (TABLE - 1))];
}

/** Packed colour of a signed value, zero in the middle, on a scale that ends at ±top. */
function signedColour(table, value, top) {
  const size = top > 0 ? Math.sqrt(Math.min(1, Math.abs(value) / top)) : 0;
  return table[Math.round((0.5 + 0.5 * Math.sign(value) * size) * (TABLE - 1))];
}

/** Fills pixels with weights on a scale that ends at `top`. */
export function weightPixels(table, grid, top) {
  return (pixels) => {
    for (let i = 0; i < pixels.length; i++) pixels[i] = weightColour(table, grid[i], top);
  };
}

/** Fills pixels with signed values, zero in the middle, on a scale that ends at ±top. */
export function signedPixels(table, grid, top) {
  return (pixels) => {
    for (let i = 0; i < pixels.length; i++) pixels[i] = signedColour(table, grid[i], top);
  };
}

/** The value below which `share` of the grids' absolute values lie, so that a few extremes do not dim the rest. */
export function percentile(grids, share) {
  let top = 0;
  for (const grid of grids) for (let i = 0; i < grid.length; i++) top = Math.max(top, Math.abs(grid[i]));
  if (top === 0) return 0;
  const steps = 4096;
  const counts = new Float64Array(steps + 1);
  let total = 0;
  for (const grid of grids) {
    total += grid.length;
    for (let i = 0; i < grid.length; i++) counts[Math.ceil(Math.sqrt(Math.abs(grid[i]) / top) * steps)] += 1;
  }
  let seen = 0;
  for (let step = 0; step <= steps; step++) {
    seen += counts[step];
    if (seen >= share * total) return top * (step / steps) ** 2 || top / steps ** 2;
  }
  return top;
}

/** A canvas of rows × columns pixels, whose packed colours `fill` writes; with a loop of its own each is compiled well. */
export function paint(rows, columns, fill) {
  const canvas = document.createElement('canvas');
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext('2d');
  const image = context.createImageData(columns, rows);
  fill(new Uint32Array(image.data.buffer));
  context.putImageData(image, 0, 0);
  return canvas;
}

/** A CSS gradient through a table's colours, for a legend; `placeOf` gives the table's place of a share of the bar. */
export function gradient(table, placeOf) {
  const stops = Array.from({ length: 13 }, (_, i) => {
    const packed = table[Math.round(placeOf(i / 12) * (TABLE - 1))];
    return `rgb(${packed & 255} ${(packed >> 8) & 255} ${(packed >> 16) & 255}) ${(100 * i) / 12}%`;
  });
  return `linear-gradient(90deg, ${stops.join(', ')})`;
}

/** A role's colour as a mark, and as text, which follows the page's theme; see css_variables of figures/roles.py. */
export function roleColour(role) {
  return `var(--role-${role.replaceAll('_', '-')})`;
}

export function roleInk(role) {
  return `var(--role-${role.replaceAll('_', '-')}-text)`;
}
