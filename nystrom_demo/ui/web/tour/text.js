// The left part of the tour: the list of steps, the prose, the formula, the prediction.

import { make } from '../lib/dom.js';
import { mathOf, sentence } from './formula.js';
import { release, tieTerms } from './lighting.js';
import { choiceOf, forgetful, progress, remember, verdictOf } from './progress.js';
import { go, turnPages } from './turning.js';

/** @param {import('../lib/component.js').Component} tour */
export function start(tour) {
  tour.watch('value', () => drawText(tour));
  drawText(tour);
}

function drawText(tour) {
  const { element } = tour;
  const lesson = tour.props.value;
  const root = element.closest('#learn') || element;
  tieTerms(root);
  if (!lesson) return;
  const sheet = element.querySelector('.learn-text');
  const focused = document.activeElement;
  const rememberedFocus = focused?.closest?.('.learn-steps') ? focused.getAttribute('data-step') : null;
  if (sheet.dataset.step !== lesson.name) release(root);
  sheet.dataset.step = lesson.name;
  const parts = [
    stepList(tour, lesson),
    make('h2', { id: 'learn-title' }, lesson.title),
    ...lesson.prose.map((paragraph) => make('p', { class: 'learn-prose' }, sentence(paragraph, lesson.links))),
    formulaOf(lesson),
    symbolsOf(lesson),
    predictionOf(tour, lesson, root),
    make('p', { class: 'learn-do' }, make('b', {}, 'Try: '), sentence(lesson.task, lesson.links)),
    make('div', { class: 'learn-turn' }, turnPages(tour, lesson)),
  ];
  sheet.replaceChildren(...parts.filter(Boolean));
  if (rememberedFocus !== null) sheet.querySelector(`.learn-steps [data-step="${rememberedFocus}"]`)?.focus();
  reveal(root, choiceOf(lesson.name) !== null);
}

function stepList(tour, lesson) {
  const buttons = lesson.steps.map((step, index) => {
    const past = progress[step.name];
    const state = !past ? '' : past.right ? ', predicted right' : ', seen';
    return make(
      'li',
      {},
      make(
        'button',
        {
          type: 'button',
          'data-step': index,
          'aria-current': index === lesson.index ? 'step' : null,
          'aria-label': `Step ${index + 1}: ${step.title}${state}`,
          title: step.title,
          class: !past ? '' : past.right ? 'done right' : 'done',
        },
        String(index + 1),
      ),
    );
  });
  const list = make('ol', { class: 'learn-steps' }, buttons);
  list.addEventListener('click', (event) => {
    const button = event.target.closest('button');
    if (button) go(tour, Number(button.dataset.step));
  });
  const past = lesson.steps.map((step) => progress[step.name]).filter(Boolean);
  const guesses = past.filter((each) => each.option).length;
  const right = past.filter((each) => each.right).length;
  const line = `Step ${lesson.index + 1} of ${lesson.steps.length}. ${guesses} predictions, ${right} right.${forgetful}`;
  return make('nav', { 'aria-label': 'Steps of the tour' }, list, make('p', { class: 'learn-progress' }, line));
}

function formulaOf(lesson) {
  const lines = lesson.formula.map((line) => make('div', { class: 'math learn-formula-line' }, mathOf(line)));
  return make('div', { class: 'learn-formula', role: 'group', 'aria-label': `Formula: ${lesson.spoken}` }, lines);
}

function symbolsOf(lesson) {
  if (!lesson.symbols.length) return null;
  const rows = lesson.symbols.flatMap((symbol) => [
    make('dt', { class: 'math' }, mathOf(symbol.name, { focusable: false, links: lesson.links })),
    make('dd', {}, sentence(symbol.meaning, lesson.links)),
  ]);
  return make('dl', { class: 'learn-symbols' }, rows);
}

function predictionOf(tour, lesson, root) {
  const verdict = make('p', { class: 'learn-verdict', 'aria-live': 'polite' });
  const options = lesson.options.map((option) => {
    const button = make('button', { type: 'button', 'data-option': option.name }, sentence(option.text, lesson.links));
    button.addEventListener('click', () => predict(tour, lesson, option.name, options, verdict, root));
    return button;
  });
  const show = make('button', { type: 'button', class: 'learn-show', 'data-option': '' }, 'Show me without a guess');
  show.addEventListener('click', () => predict(tour, lesson, '', options, verdict, root));
  judge(lesson, options, verdict);
  return make(
    'section',
    { class: 'learn-predict', 'aria-label': 'Predict' },
    make('p', { class: 'learn-question' }, make('b', {}, 'Predict: '), sentence(lesson.question, lesson.links)),
    make('div', { class: 'learn-options' }, options, choiceOf(lesson.name) === null && lesson.outcome ? show : null),
    verdict,
  );
}

function predict(tour, lesson, option, buttons, verdict, root) {
  if (choiceOf(lesson.name) !== null) return;
  remember(lesson.name, option, lesson.outcome);
  judge(lesson, buttons, verdict);
  reveal(root, true);
  tour.element.querySelector('.learn-text nav').replaceWith(stepList(tour, lesson));
}

function judge(lesson, buttons, verdict) {
  const chosen = choiceOf(lesson.name);
  const open = chosen === null;
  const { word, held, moved } = open
    ? { word: '', held: '', moved: '' }
    : verdictOf(progress[lesson.name], lesson.outcome);
  for (const button of buttons) {
    const name = button.dataset.option;
    button.setAttribute('aria-pressed', String(name === chosen));
    button.toggleAttribute('disabled', !open || !lesson.outcome);
    button.classList.toggle('holds', !open && name === held);
    button.classList.toggle('missed', !open && Boolean(held) && name === chosen && name !== held);
  }
  verdict.replaceChildren();
  if (open || !lesson.outcome) return;
  const now = lesson.options.find((option) => option.name === moved);
  verdict.append(make('b', {}, word));
  if (now) verdict.append('With what is set now it is: ', ...sentence(now.text, lesson.links), '. ');
  verdict.append(...sentence(lesson.because, lesson.links));
  verdict.closest('section')?.querySelector('.learn-show')?.remove();
}

function reveal(root, shown) {
  root.toggleAttribute('data-revealed', shown);
}
