// Terms and blocks of one key light together.

const RELEASE = 'tour-release';

/**
 * Pointing at a term or block, or focusing it, lights everything of its key; a click keeps it lit until the next, or
 * until another step begins (`release`). What has the keyboard's focus stays lit while the page moves below the pointer,
 * as it does when focus scrolls it.
 */
export function tieTerms(root) {
  if (root.dataset.tied) return;
  root.dataset.tied = 'yes';
  let kept = '';
  root.addEventListener(RELEASE, () => {
    kept = '';
    light(root, kept);
  });
  const keyAt = (event) => event.target.closest?.('[data-key]')?.dataset.key || '';
  const held = () => kept || root.querySelector('[data-key]:focus-visible')?.dataset.key || '';
  root.addEventListener('pointerover', (event) => light(root, keyAt(event) || held()));
  root.addEventListener('pointerleave', () => light(root, held()));
  root.addEventListener('focusin', (event) => light(root, keyAt(event) || kept));
  root.addEventListener('focusout', () => light(root, kept));
  root.addEventListener('click', (event) => {
    if (!event.target.closest?.('[data-key]')) return;
    kept = kept === keyAt(event) ? '' : keyAt(event);
    light(root, kept || keyAt(event));
  });
  root.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      kept = '';
      light(root, kept);
    }
    if ((event.key === 'Enter' || event.key === ' ') && event.target.matches?.('[data-key]')) {
      event.preventDefault();
      kept = kept === keyAt(event) ? '' : keyAt(event);
      light(root, kept || keyAt(event));
    }
  });
}

/** Keeps nothing lit any longer. */
export function release(root) {
  root.dispatchEvent(new Event(RELEASE));
}

function light(root, key) {
  root.toggleAttribute('data-lighting', Boolean(key));
  for (const element of root.querySelectorAll('[data-key]')) {
    element.classList.toggle('lit', Boolean(key) && element.dataset.key === key);
  }
}
