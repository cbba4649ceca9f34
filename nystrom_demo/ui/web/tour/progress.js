// What the reader predicted stays in this browser: {lesson: {option, right}}, option "" for "show me".
// In localStorage and not in a gr.BrowserState: that one sends every prediction to the server and back before the
// page may show the result, and it is encrypted with a secret of the server, which a restart changes unless every replica
// is given the same one.
const STORE = 'nystrom-demo-tour';
export let forgetful = '';
export let progress = recall();

function recall() {
  let stored = null;
  try {
    stored = JSON.parse(localStorage.getItem(STORE));
  } catch {
    forgetful = ' This browser does not let the page remember them.';
  }
  const whole = stored && typeof stored === 'object' && !Array.isArray(stored);
  return whole ? Object.fromEntries(Object.entries(stored).filter(([, past]) => typeof past?.option === 'string')) : {};
}

export function remember(name, option, right) {
  progress = { ...progress, [name]: { option, right } };
  try {
    localStorage.setItem(STORE, JSON.stringify(progress));
  } catch {
    forgetful = ' This browser does not let the page remember them.';
  }
}

export function choiceOf(name) {
  return Object.hasOwn(progress, name) ? progress[name].option : null;
}
