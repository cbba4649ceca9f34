// The small note that follows the pointer over a picture.

import { make } from '../lib/dom.js';

/** Shows lines of text beside the pointer, within the component `element`. */
export function showTip(element, event, lines) {
  const tip = element.querySelector('.learn-tip');
  tip.replaceChildren(...lines.map((line) => make('div', {}, line)));
  tip.hidden = false;
  const frame = element.getBoundingClientRect();
  const left = Math.min(event.clientX - frame.left + 14, frame.width - tip.offsetWidth - 4);
  tip.style.left = `${Math.max(left, 0)}px`;
  tip.style.top = `${event.clientY - frame.top + 16}px`;
}

export function hideTip(element) {
  element.querySelector('.learn-tip').hidden = true;
}
