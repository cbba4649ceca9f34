// The state of the page in the browser: what the visitor has set, what of it each tab shows, and the one request that
// brings a tab up to date. Python's PageState has the same fields, by the same names.
//
// A change writes the state and asks the server once, for the open tab; while an answer is awaited the last change
// waits with it. Each answer carries the stamp that it was asked with, and one that is older than another is dropped.

const TYPING_ENDS_MS = 400;
const STORE = 'nystrom-demo-page';

/**
 * config: {state, held, served, fields: {input: field}, typed: [input], bounds, shows: {tab: [field]}, links, seen}.
 * held: what each input is known to hold. served: the checkpoint that answered last, and the example whose text the page
 * was given. bounds: least and most of an input. links: the parameters of a link. seen: the tokens that attend to each
 * other, at which m is exact.
 * ask: sends `request()` to the server. hold: gives the inputs `updates()`.
 */
function makePageState(config, ask, hold) {
  const page = {
    ...config,
    first: structuredClone(config.state),
    stamp: 0, // of the last request
    taken: 0, // of the last answer
    awaited: null, // the request whose first answer is still to come
    running: null, // the request whose tab is still being filled
    waiting: false, // whether another change waits for that answer
    timer: null,
    done: { [config.state.tab]: shownBy(config, config.state.tab, config.state) },
    opening: null, // a tab that the page opens itself
    cellCounts: false,
    updates: {}, // of inputs, still to be made
    replaced: {}, // what inputs held before they were given something else, until they are seen to hold that
    hold,
  };
  const own = {
    gather: (...values) => gather(page, ask, values),
    take: (answer) => take(page, ask, answer, true),
    updates: () => updates(page),
    set: (changes) => set(page, ask, changes),
    request: () => JSON.stringify({ ...page.awaited, state: asked(page.awaited.state) }),
    current: () => JSON.stringify({ state: asked({ ...page.state, cell: heldCell() ?? page.state.cell }) }),
    busy: () => Boolean(page.awaited || page.running || page.timer), // a request is under way, or about to be
    failed: () => failed(page, ask),
    load: () => load(page, ask),
    tabOpened: () => tabOpened(page, ask),
    linkedCell: () => (page.cellCounts && page.state.cell ? page.state.cell.join() : null),
    copied: (link) => history.replaceState({ tab: page.state.tab, read: true }, '', `${bare()}#${link}`),
  };
  addEventListener('popstate', (event) => event.state?.tab && openTab(page, event.state.tab));
  addEventListener('hashchange', () => !history.state?.read && load(page, ask));
  addEventListener('pagehide', () => remember(page));
  for (const event of ['pointerdown', 'keydown']) addEventListener(event, () => (page.cellCounts = false), true);
  return own;
}

/** What a tab shows depends on, as one string. */
function shownBy({ shows }, tab, state) {
  return JSON.stringify(shows[tab].map((name) => state[name]));
}

/** The state as the server takes it: the text of an example goes by its name. */
function asked(state) {
  return state.example ? { ...state, text: null } : state;
}

// ---- What the visitor changes

/** The inputs' values, in the order of `fields`, and the last answer, which may have set some of them. */
function gather(page, ask, values) {
  take(page, ask, values.at(-1), false);
  const changes = {};
  let typed = false;
  Object.entries(page.fields).forEach(([input, field], place) => {
    const value = values[place];
    if (same(value, page.held[input])) delete page.replaced[input];
    if (isOnItsWay(page.bounds[input], value) || isKnown(page, input, value)) return;
    page.held[input] = value;
    typed ||= page.typed.includes(input);
    Object.assign(changes, changeOf(page, input, field, value));
  });
  if (Object.keys(changes).length) set(page, ask, changes, typed);
}

/** Whether it is no value yet: an emptied box, or a number on the way to another, as 1 is to 128. */
function isOnItsWay(bounds, value) {
  return value === null || (bounds && !(value >= bounds[0] && value <= bounds[1]));
}

/** Whether an input holds what it was given, or was read before it had that. */
function isKnown({ held, replaced }, input, value) {
  return same(value, held[input]) || replaced[input]?.some((each) => same(value, each));
}

function same(a, b) {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** What a new value of an input does to the state. */
function changeOf(page, input, field, value) {
  const fieldsOfExample = { masks: null, question: null, choices_question: null, options: null };
  if (field === 'text') {
    page.served = { ...page.served, example: null };
    return { text: value, example: null, masks: null };
  }
  if (field === 'example') return { example: value, text: null, ...fieldsOfExample };
  if (field === 'layer' || field === 'head') return { [field]: value - 1 };
  if (input === 'num_landmarks' && value >= page.seen) return { [field]: 0 }; // to the end of the slider: exact
  return { [field]: value };
}

function set(page, ask, changes, typed = false) {
  Object.assign(page.state, changes);
  remember(page);
  if (location.hash) history.replaceState(history.state, '', bare()); // it no longer says what the page shows
  clearTimeout(page.timer);
  page.timer = null;
  if (isShown(page)) return markStale(null);
  markStale(typed ? 'typed' : 'set');
  if (typed) page.timer = setTimeout(() => askNow(page, ask), TYPING_ENDS_MS);
  else askNow(page, ask);
}

/** Whether the open tab shows the state, or will once its request has ended. */
function isShown({ state, done, running, shows }) {
  const shown = running?.tab === state.tab ? running.shown : done[state.tab];
  return shown === shownBy({ shows }, state.tab, state);
}

/** The fields by which the state differs from what a tab shows; all of them where it shows nothing whole. */
function changedSince({ state, done, shows }, tab) {
  const before = done[tab] && JSON.parse(done[tab]);
  return shows[tab].filter((name, place) => !before || !same(before[place], state[name]));
}

function markStale(how) {
  const views = document.querySelector('#views');
  if (how) views.dataset.stale = how;
  else delete views.dataset.stale;
}

/** The hidden words after a click on one: those marked as hidden, on the page at once. */
function hiddenWords(board, index) {
  const word = board.querySelector(`[data-token="${index}"]`);
  word.setAttribute('aria-pressed', String(word.getAttribute('aria-pressed') !== 'true'));
  const hidden = [...board.querySelectorAll('[data-token][aria-pressed=true]')];
  return hidden.map((each) => each.dataset.span.split('-').map(Number));
}

// ---- What is asked and answered

function askNow(page, ask, more = {}) {
  clearTimeout(page.timer);
  page.timer = null;
  if (page.awaited) {
    page.waiting = { ...page.waiting, ...more };
    return;
  }
  const { tab } = page.state;
  if (isShown(page) && !Object.keys(more).length) return markStale(null);
  page.stamp += 1;
  const state = structuredClone(page.state);
  const { text, ...held } = page.held;
  page.awaited = { stamp: page.stamp, served: page.served, held, state, changed: changedSince(page, tab), ...more };
  delete page.done[tab];
  page.running = { stamp: page.stamp, tab, shown: shownBy(page, tab, state) };
  ask();
}

/**
 * An answer: {stamp, state: what the server changed, inputs: what becomes of each, seen, served, filled, done}.
 * It comes more than once: as it arrives, `fresh`, and as it stood when an event began.
 */
function take(page, ask, text, fresh) {
  if (!text || text === page.last) return;
  const answer = JSON.parse(text);
  if (!fresh && answer.stamp <= page.taken) return;
  page.last = text;
  if (answer.stamp < page.taken) {
    Object.assign(page, { done: {}, running: null }); // what is late may have overwritten what is newer
    return askNow(page, ask);
  }
  if (answer.stamp > page.taken) holdInputs(page, answer.inputs);
  page.taken = answer.stamp;
  page.seen = answer.seen;
  page.served = answer.served;
  if (answer.stamp !== page.stamp) return;
  if (page.awaited) adopt(page, answer.state);
  page.awaited = null;
  if (answer.filled && isShown(page)) markStale(null);
  if (answer.done) {
    page.done[page.running.tab] = page.running.shown;
    page.running = null;
  }
  if (page.waiting) askWaiting(page, ask);
}

function holdInputs(page, inputs) {
  const { held, state } = page.awaited ?? { held: page.held, state: page.state };
  const textStands = same([page.state.text, page.state.example], [state.text, state.example]);
  for (const [name, { value, ...update }] of Object.entries(inputs)) {
    const stands = name === 'text' ? textStands : same(page.held[name], held[name]); // what was set since is left alone
    if (value !== undefined && stands) {
      if (!same(value, page.held[name])) (page.replaced[name] ??= []).push(page.held[name]);
      page.held[name] = update.value = value;
    }
    page.updates[name] = update;
  }
  page.hold();
}

/** What the inputs are to be given, in the order of `fields`, once. */
function updates(page) {
  const made = Object.keys(page.fields).map((name) => ({ __type__: 'update', ...page.updates[name] }));
  page.updates = {};
  return made;
}

function askWaiting(page, ask) {
  const more = page.waiting;
  page.waiting = false;
  askNow(page, ask, more);
}

/** What the server made of the state, where the visitor has not changed it since. */
function adopt(page, changes) {
  const sent = page.awaited.state;
  const still = Object.entries(changes).filter(([name]) => same(page.state[name], sent[name]));
  Object.assign(page.state, Object.fromEntries(still));
  Object.assign(sent, changes);
  const { tab } = sent;
  page.running = { ...page.running, tab, shown: shownBy(page, tab, sent) };
  if ('tab' in changes) {
    page.cellCounts = true;
    openTab(page, tab);
    history.replaceState({ tab, read: true }, '', bare() + location.hash);
  }
  remember(page);
}

/** What a page of before held may be refused by the server of today: then the page begins anew. */
function failed(page, ask) {
  if (page.awaited?.restored) {
    Object.assign(page.state, page.first);
    remember(page);
  }
  page.awaited = page.running = null;
  markStale(null);
  if (page.waiting) askWaiting(page, ask);
}

// ---- Tabs, reloads and links

/** The page's address without a fragment and without parameters that belong into one. */
function bare() {
  return location.pathname + location.search;
}

function openTab(page, tab) {
  if (page.state.tab === tab && selectedTab() === tab) return;
  page.opening = tab;
  document.querySelector(`#tab-${tab}-button`)?.click();
}

function selectedTab() {
  return document.querySelector('#tabs [role=tab][aria-selected=true]')?.id.replace(/^tab-|-button$/g, '');
}

async function tabOpened(page, ask) {
  await new Promise(requestAnimationFrame); // gradio tells of it before the page does
  const tab = selectedTab();
  const itself = page.opening === tab;
  if (page.opening && !itself) return; // the tab that the page began with
  page.opening = null;
  if (!tab || tab === page.state.tab) return;
  if (!itself) history.pushState({ tab, read: true }, '', bare());
  set(page, ask, { tab });
}

/** Brings back what a link asks for or, after a reload, what the page held. */
function load(page, ask) {
  const link = takeLink(page);
  const kept = link ? null : recall();
  if (!link && !kept) return;
  if (kept) {
    for (const name of Object.keys(page.state)) if (name in kept) page.state[name] = kept[name];
    openTab(page, page.state.tab);
  }
  markStale('set');
  askNow(page, ask, link ? { link } : { restored: true });
}

/** The parameters of a link that was not read yet; those in the query move to the fragment. */
function takeLink(page) {
  const query = new URLSearchParams(location.search);
  const old = new URLSearchParams();
  for (const name of page.links) {
    if (query.has(name)) old.set(name, query.get(name));
    query.delete(name);
  }
  const now = old.size ? old.toString() : location.hash.slice(1);
  const read = history.state?.read && !old.size;
  const search = query.size ? `?${query}` : '';
  history.replaceState({ tab: page.state.tab, read: true }, '', location.pathname + search + (now ? `#${now}` : ''));
  return read || !now.includes('=') ? '' : now;
}

function heldCell() {
  const held = document.querySelector('#attention-viewer [data-held]')?.dataset.held;
  return held ? held.split(',').map(Number) : null;
}

function remember(page) {
  try {
    sessionStorage.setItem(STORE, JSON.stringify({ ...page.state, cell: heldCell() ?? page.state.cell }));
  } catch {
    // A browser that keeps nothing forgets at a reload, and says nothing less for it.
  }
}

function recall() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE));
  } catch {
    return null;
  }
}

/** Puts a link's address into the clipboard, and says so beside it: [link, note] for the page. */
async function copyLink(state, fragment, note) {
  if (!fragment) return [fragment, note];
  state.copied(fragment);
  let copied = 'Copied. ';
  try {
    await navigator.clipboard.writeText(location.href);
  } catch {
    copied = 'This browser does not let the page copy: take the link from here. ';
  }
  return [location.href, copied + note];
}
