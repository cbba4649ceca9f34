// Terms and blocks of one key light together.

/**
 * Pointing at a term or block, or focusing it, lights everything of its key; a click keeps it lit until the next. What
 * has the keyboard's focus stays lit while the page moves below the pointer, as it does when focus scrolls it.
 */
export function tieTerms(root) {
  if (root.dataset.tied) return;
  root.dataset.tied = 'yes';
  let kept = '';
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

function light(root, key) {
  root.toggleAttribute('data-lighting', Boolean(key));
  for (const element of root.querySelectorAll('[data-key]')) {
    element.classList.toggle('lit', Boolean(key) && element.dataset.key === key);
  }
}
