// Matrices as pictures: values to colours on a canvas, the canvas as an image inside the SVG.

const decoded = new WeakMap(); // beside the blocks, for gradio compares a value with what it sent

function entriesOf(block) {
  if (!decoded.has(block)) {
    const bytes = Uint8Array.from(atob(block.data), (letter) => letter.charCodeAt(0));
    const halves = new DataView(bytes.buffer);
    const entries = Float32Array.from({ length: bytes.length / 2 }, (_, i) => halfFloat(halves.getUint16(2 * i, true)));
    decoded.set(block, entries.map((value) => value * block.unit));
  }
  return decoded.get(block);
}

/** The number that 16 bits stand for: sign, five of exponent, ten of fraction. Of what is sent none is infinite. */
function halfFloat(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
  return bits >> 15 ? -size : size;
}

function cellImage(block) {
  const [rows, columns] = block.drawn;
  const canvas = make("canvas", { width: columns, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const table = block.scale === "signed" ? PALETTE.diverging : PALETTE.sequential;
  entriesOf(block).forEach((value, place) => {
    const share = block.scale === "signed" ? 0.5 + value / (2 * block.limit) : value / block.limit;
    const colour = table[Math.round(Math.min(Math.max(share, 0), 1) * (table.length - 1))];
    image.data.set([...colour, 255], 4 * place);
  });
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

function short(value) {
  if (value === null || value === undefined) return "none";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(1).replace("e+", "e");
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 });
}

// A row's or column's name, counted as the page counts: from `start`, which is 1 unless an axis says otherwise.
function placeName(scene, axis, index, pooled, start) {
  const first = index * pooled;
  const number = first + start;
  if (axis === "sum") return "the row's sum";
  if (axis === "token" && scene.words[first] !== undefined && pooled === 1) return `token ${number} “${scene.words[first]}”`;
  if (axis === "landmark" && scene.segments[first] && pooled === 1) {
    const [start, end] = scene.segments[first];
    const words = scene.words.slice(start, end + 1);
    const named = words.length > 3 ? `${words[0]} … ${words.at(-1)}` : words.join(" ");
    return `landmark ${number} “${named}”`;
  }
  return pooled === 1 ? `${axis} ${number}` : `${axis}s ${number} to ${number + pooled - 1}`;
}

function drawMatrix(scene, block, { x, y, width, height, slot, thin }) {
  const end = `${block.clipped ? "≥ " : ""}${short(block.limit)}`;
  const range = block.scale === "signed" ? `± ${end}` : `0 to ${end}`;
  const label = `${block.name}, ${block.shape[0]} by ${block.shape[1]}, colours from ${range}`;
  const group = draw("g", {
    class: `block${block.secret ? " secret" : ""}`,
    "data-key": block.key || null,
    tabindex: block.key ? 0 : null,
    role: "img",
    "aria-label": label,
    style: `--tint: ${roleColour(block.role)}; --ink-tint: ${roleInk(block.role)}`,
  });
  const body = { x, y: y + 20, width, height };
  const image = draw("image", { ...body, href: cellImage(block), preserveAspectRatio: "none", class: "cells" });
  group.append(
    draw("text", { x, y: y + 13, class: "block-name" }, block.name),
    image,
    draw("rect", { ...body, class: "block-frame" }),
    ...caption(block, range, x, y + 20 + height + 13, slot, thin),
  );
  image.addEventListener("pointermove", (event) => {
    const frame = image.getBoundingClientRect();
    const cell = (offset, length, count) => Math.min(Math.max(Math.floor((offset / length) * count), 0), count - 1);
    const row = cell(event.clientY - frame.top, frame.height, block.drawn[0]);
    const column = cell(event.clientX - frame.left, frame.width, block.drawn[1]);
    const value = entriesOf(block)[row * block.drawn[1] + column];
    const mean = block.pooled[0] * block.pooled[1] > 1 ? "mean " : "";
    const from = placeName(scene, block.axes[0], row, block.pooled[0], block.first[0]);
    const to = placeName(scene, block.axes[1], column, block.pooled[1], block.first[1]);
    showTip(event, [`${block.name}: ${mean}${short(value)}`, `row: ${from}`, `column: ${to}`]);
  });
  image.addEventListener("pointerleave", hideTip);
  return group;
}

function caption(block, range, x, y, width, thin) {
  const shape = `${block.shape[0]} × ${block.shape[1]}${thin && width > 140 ? ", drawn thicker" : ""}`;
  const whole = `${shape}, ${range}`;
  const lines = whole.length * 5.6 <= width ? [whole] : [shape, ...(range.length * 5.6 <= width + GAP ? [range] : [])];
  return lines.map((line, index) => draw("text", { x, y: y + 13 * index, class: "block-caption" }, line));
}

function showTip(event, lines) {
  const tip = element.querySelector(".learn-tip");
  tip.replaceChildren(...lines.map((line) => make("div", {}, line)));
  tip.hidden = false;
  const frame = element.getBoundingClientRect();
  const left = Math.min(event.clientX - frame.left + 14, frame.width - tip.offsetWidth - 4);
  tip.style.left = `${Math.max(left, 0)}px`;
  tip.style.top = `${event.clientY - frame.top + 16}px`;
}

function hideTip() {
  element.querySelector(".learn-tip").hidden = true;
}
