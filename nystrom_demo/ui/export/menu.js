// The menu below a plotly figure: the figure of the slot that this menu stands in, under its caption.

const CAPTION_HEIGHT = 40;
const slot = element.closest('.slot');
const figure = () => slot.querySelector('.js-plotly-plot');

/** On the page a figure has no ground, and its caption stands above it; a file has both, and the figure's sentence. */
async function captionedSvg() {
  const { data, layout } = figure();
  const style = getComputedStyle(document.body);
  const [width, height] = ['width', 'height'].map((side) => Math.round(figure().getBoundingClientRect()[side]));
  const inked = { ...layout, font: { ...layout.font, color: style.color } };
  const url = await window.Plotly.toImage({ data, layout: inked }, { format: 'svg', width, height });
  const page = new DOMParser().parseFromString(decodeURIComponent(url.slice(url.indexOf(',') + 1)), 'image/svg+xml');
  const add = (tag, attributes, text = '') => {
    const node = page.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.textContent = text;
    return node;
  };
  const size = { width, height: height + CAPTION_HEIGHT };
  const whole = add('svg', { ...size, viewBox: `0 0 ${size.width} ${size.height}`, 'font-family': 'sans-serif' });
  const caption = slot.querySelector('.caption').textContent.trim();
  page.documentElement.setAttribute('y', CAPTION_HEIGHT);
  whole.append(
    add('desc', {}, layout.meta.summary),
    add('rect', { ...size, fill: style.backgroundColor }),
    add('text', { x: 16, y: 26, 'font-size': 17, fill: style.color }, caption),
    page.documentElement,
  );
  return new XMLSerializer().serializeToString(whole);
}

wireSaving(element.querySelectorAll('[data-save]'), {
  name: () => `nystrom-${figure().closest('[id]').id}`,
  svg: captionedSvg,
  csv: () => figure().layout.meta.csv,
});
