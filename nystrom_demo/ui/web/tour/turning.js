// From one step of the tour to another.

import { make } from '../lib/dom.js';
import { pageState } from '../lib/page.js';

/** Back and next: below the text on a wide page, below the picture on a narrow one. */
export function turnPages(tour, { index, count }) {
  const turn = (id, text, step) => {
    const button = make('button', { type: 'button', class: id }, text);
    button.toggleAttribute('disabled', step < 0 || step >= count);
    button.addEventListener('click', () => go(tour, step));
    return button;
  };
  return [turn('learn-back', 'Back', index - 1), turn('learn-next', 'Next step', index + 1)];
}

/** Asks for a step as it begins, with none of the tour's settings left from the step before, and shows its beginning. */
export function go({ element, props }, step) {
  pageState().set({ ...props.value.start, step });
  const root = element.closest('#learn');
  if (root && root.getBoundingClientRect().top < 0) root.scrollIntoView({ block: 'start' });
}
