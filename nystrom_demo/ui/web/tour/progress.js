// What the reader predicted stays in this browser: {lesson: {option, right, outcome}}, option "" for "show me"; outcome is
// what held when it was predicted, so that a verdict once given stands.
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

export function remember(name, option, outcome) {
  progress = { ...progress, [name]: { option, right: option === outcome, outcome } };
  try {
    localStorage.setItem(STORE, JSON.stringify(progress));
  } catch {
    forgetful = ' This browser does not let the page remember them.';
  }
}

export function choiceOf(name) {
  return Object.hasOwn(progress, name) ? progress[name].option : null;
}

/**
 * What is said of a prediction: {word, held: the option that held when it was made, moved: the one that holds now where
 * the settings have changed it, else ""}. Whoever asked to be shown predicted nothing: for them it is what holds now.
 */
export function verdictOf({ option, right, outcome }, now) {
  if (option === '') return { word: '', held: now, moved: '' };
  const held = outcome ?? (right ? option : now === option ? '' : now); // written before outcomes were kept
  return { word: right ? 'Right. ' : 'Not on this text. ', held, moved: now === held ? '' : now };
}
