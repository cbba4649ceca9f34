// The dial: while a slider of the sidebar is dragged the head follows here, and the server hears of it when the hand
// rests. Gradio would send a request for every value on the way.

import { make } from '../lib/dom.js';
import { count, number } from '../lib/format.js';
import { isLive, withLandmarks } from './head.js';
import { landmarkWords } from './head_words.js';
import { rebuild } from './redraw.js';

const SLIDERS = { m: 'sidebar-landmarks', steps: 'sidebar-pinv-iterations' };
const REST_MS = 300; // after the last key or the release

/** Listens to the sidebar's sliders for as long as the page lives. */
export function wireDial(view) {
  let resting = null;
  document.addEventListener('input', (event) => heardInput(view, event), { capture: true });
  document.addEventListener(
    'change',
    (event) => {
      if (!view.dial || !ourSlider(event)) return;
      clearTimeout(resting);
      resting = setTimeout(() => rest(view, event.target), REST_MS);
    },
    { capture: true },
  );
}

/** A visitor moves a slider: gradio does not hear of it, and the view follows. */
function heardInput(view, event) {
  if (!event.isTrusted || !view.head || view.root.offsetParent === null || !ourSlider(event)) return;
  event.stopImmediatePropagation();
  mirror(event.target);
  const { n, pinv_iterations } = view.head;
  const value = (name) => /** @type {HTMLInputElement | null} */ (sliderOf(name))?.valueAsNumber;
  // The steps' slider is folded away at first, and not on the page until it is unfolded.
  view.dial = { m: Math.min(value('m') ?? view.head.m, n), steps: value('steps') ?? pinv_iterations };
  follow(view);
}

function sliderOf(name) {
  return document.querySelector(`#${SLIDERS[name]} input[type=range]`);
}

function ourSlider({ target }) {
  return target.type === 'range' && target.closest(`#${SLIDERS.m}, #${SLIDERS.steps}`);
}

/** The slider's number and the filled part of its track, which gradio would bring up to date. */
function mirror(slider) {
  const share = (Number(slider.value) - slider.min) / (slider.max - slider.min || 1);
  slider.style.setProperty('--range_progress', `${100 * share}%`);
  slider.closest('.block').querySelector('input[type=number]').value = slider.value;
}

/** The view brought to where the dial is, if the browser can tell; else the server tells when the hand rests. */
export function follow(view) {
  const { m, steps } = view.dial;
  if (!isLive(view.head, m, steps)) return;
  const head = withLandmarks(view.head, m, steps);
  view.head = { ...head, ...landmarkWords(head) };
  view.landmark = Math.min(view.landmark, m - 1);
  view.parts.factorsMenu.hidden = view.head.exact;
  rebuild(view, true);
  writeReadout(view.head);
  view.parts.viewer.dataset.live = `${m},${steps}`;
}

/** The sidebar's line on what m means for this text, as ui/readout.py has it. */
function writeReadout({ n, m }) {
  const line = document.querySelector('#sidebar-readout p');
  if (!line || line.textContent.includes('windows')) return;
  const bold = (text) => make('b', {}, text);
  const means = [bold(count(m)), ` ${m === 1 ? 'landmark' : 'landmarks'}: one for `, bold(number(n / m)), ' tokens'];
  line.replaceChildren(bold(count(n)), ' tokens, ', ...(m === n ? ['attended ', bold('exactly')] : means));
}

/** Gradio hears of the slider's value, and asks the server. */
function rest(view, slider) {
  view.dial = null;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
}
