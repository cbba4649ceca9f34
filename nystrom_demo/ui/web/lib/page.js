// The page's state, which ui/page_state.js keeps for all parts of the page.

/** @returns {{ set: (changes: object) => void, linkedCell: () => string | null } | undefined} none outside the app */
export function pageState() {
  return /** @type {any} */ (window).pageState;
}
