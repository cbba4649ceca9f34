// What the menus of all tabs share: a picture's SVG or PNG, or its numbers as CSV, to a file.

/** Buttons with data-save "png", "svg" or "csv". `name`, `svg` and `csv` are asked when one is pressed. */
export function wireSaving(buttons, { name, svg, csv }) {
  for (const button of buttons) {
    button.addEventListener('click', async () => {
      const form = button.dataset.save;
      if (form === 'csv') return saveAs(new Blob([csv()], { type: 'text/csv' }), `${name()}.csv`);
      const picture = await svg();
      if (form === 'svg') return saveAs(new Blob([picture], { type: 'image/svg+xml' }), `${name()}.svg`);
      return savePng(picture, `${name()}.png`);
    });
  }
}

function saveAs(blob, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** The SVG drawn at twice its size, for screens and slides. */
function savePng(svg, name) {
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((png) => saveAs(png, name), 'image/png');
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
}

/** A value as a CSV field: quoted where it must be, and text that a spreadsheet would run gets an apostrophe. */
export function csvField(value) {
  const text = value === null || value === undefined ? '' : String(value);
  const runs = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text));
  const inert = runs ? `'${text}` : text;
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}
