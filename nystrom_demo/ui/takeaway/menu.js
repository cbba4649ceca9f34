// The menu below a plotly figure: the figure of the slot that this menu stands in, with its caption as a title.

const TITLE_HEIGHT = 34;

function figure() {
  return element.closest('.slot').querySelector('.js-plotly-plot');
}

function caption() {
  return element.closest('.slot').querySelector('.caption').textContent.trim();
}

/** A figure has no ground on the page; away from it, it gets the page's. */
async function plotlySvg() {
  const { data, layout } = figure();
  const { width, height } = figure().getBoundingClientRect();
  const style = getComputedStyle(document.body);
  const titled = {
    ...layout,
    paper_bgcolor: style.backgroundColor,
    font: { ...layout.font, color: style.color },
    title: { text: caption(), x: 0.02, y: 0.98, yanchor: 'top', font: { color: style.color, size: 17 } },
    margin: { ...layout.margin, t: layout.margin.t + TITLE_HEIGHT },
  };
  const size = { width: Math.round(width), height: Math.round(height) + TITLE_HEIGHT };
  const url = await window.Plotly.toImage({ data, layout: titled }, { format: 'svg', ...size });
  return decodeURIComponent(url.slice(url.indexOf(',') + 1));
}

wireSaving(element.querySelectorAll('[data-save]'), {
  name: () => `nystrom-${figure().closest('[id]').id}`,
  svg: plotlySvg,
  csv: () => figure().layout.meta.csv,
});
