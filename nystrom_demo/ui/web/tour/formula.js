// Formulas and sentences of the tour: the trees of lessons/formula.py as elements.

import { roleInk } from '../lib/colour.js';
import { make } from '../lib/dom.js';

/** A formula's tree as elements. Terms take focus unless they stand in running text. */
export function mathOf(nodes, { focusable = true, links = {} } = {}) {
  return nodes.map((node) => mathNode(node, { focusable, links }));
}

function mathNode(node, options) {
  const inner = () => mathOf(node.children || [], options);
  switch (node.kind) {
    case 'prose':
      return document.createTextNode(node.text);
    case 'letter':
      return linked(make('i', {}, node.text), node.text, options);
    case 'word':
      return make('span', { class: 'math-word' }, node.text);
    case 'text':
      return document.createTextNode(node.text);
    case 'sub':
    case 'sup':
      return make(node.kind, {}, inner());
    case 'hat':
    case 'tilde': {
      const mark = make('span', { class: `math-accent ${node.kind}` }, inner());
      return linked(mark, `\\${node.kind} ${node.children[0].text}`, options);
    }
    case 'frac':
      return make(
        'span',
        { class: 'math-frac' },
        inner().map((part) => make('span', {}, part)),
      );
    case 'term': {
      const attributes = { class: 'math-term', 'data-key': node.key, style: `--tint: ${roleInk(node.role)}` };
      if (options.focusable) Object.assign(attributes, { tabindex: 0, role: 'button', 'aria-label': node.spoken });
      return make('span', attributes, inner());
    }
    default:
      return make('span', {}, inner());
  }
}

/** In running text a symbol that is a whole term of the formula lights the same blocks. */
function linked(element, symbol, { links }) {
  const link = links[symbol];
  if (!link) return element;
  const attributes = { class: 'math-term', 'data-key': link.key, style: `--tint: ${roleInk(link.role)}` };
  return make('span', attributes, element);
}

export function sentence(nodes, links) {
  return mathOf(nodes, { focusable: false, links }).map((part) =>
    part.nodeType === Node.TEXT_NODE ? part : make('span', { class: 'math' }, part),
  );
}
