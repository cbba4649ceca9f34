// A picture as a file: SVG with its colours written in, PNG drawn from that, CSV of every number in it.

const DRAWN = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font", "text-anchor", "image-rendering"];

function standalone() {
  const picture = element.querySelector("svg.picture");
  const copy = picture.cloneNode(true);
  const originals = [picture, ...picture.querySelectorAll("*")];
  const copies = [copy, ...copy.querySelectorAll("*")];
  const hidden = [];
  originals.forEach((original, index) => {
    const style = getComputedStyle(original);
    if (style.display === "none") hidden.push(copies[index]);
    copies[index].setAttribute("style", DRAWN.map((name) => `${name}: ${style.getPropertyValue(name)}`).join("; "));
    for (const name of ["class", "tabindex", "role"]) copies[index].removeAttribute(name);
  });
  hidden.forEach((part) => part.remove());
  const ground = getComputedStyle(document.body).backgroundColor;
  copy.prepend(draw("rect", { width: "100%", height: "100%", fill: ground }));
  return copy;
}

function takeAway(form) {
  const scene = props.value;
  const name = `nystrom-${scene.name}`;
  if (form === "csv") return save(new Blob([tableOf(scene)], { type: "text/csv" }), `${name}.csv`);
  const copy = standalone();
  const svg = new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
  if (form === "svg") return save(svg, `${name}.svg`);
  const image = new Image();
  image.onload = () => {
    const canvas = make("canvas", { width: 2 * image.width, height: 2 * image.height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((png) => save(png, `${name}.png`), "image/png");
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
}

function tableOf(scene) {
  const revealed = element.closest("#learn")?.hasAttribute("data-revealed") ?? true;
  const rows = [["part", "row", "column", "value"]];
  for (const reading of scene.readings.filter((item) => revealed || !item.secret)) rows.push([reading.name, "", "", reading.text]);
  for (const block of scene.rows.flat().filter((item) => revealed || !item.secret)) {
    if (block.kind === "matrix") {
      entriesOf(block).forEach((value, place) => {
        const [row, column] = [Math.floor(place / block.drawn[1]), place % block.drawn[1]];
        rows.push([block.name, row * block.pooled[0], column * block.pooled[1], value]);
      });
    } else if (block.kind === "chart") {
      for (const curve of block.curves) curve.y.forEach((y, i) => rows.push([`${block.name}: ${curve.name}`, block.x[i], "", y]));
    } else if (block.kind === "bars") {
      block.values.forEach((value, i) => rows.push([block.name, block.x[i], "", value]));
    } else if (block.kind === "words") {
      block.words.forEach((word, i) => rows.push([block.name, i, word, block.segments[i]]));
    }
  }
  return rows.map((row) => row.map(field).join(",")).join("\n") + "\n";
}

// A field that a spreadsheet would run as a formula is text here.
function field(value) {
  const text = value === null ? "" : String(value);
  const inert = typeof value === "string" && /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
