// What both parts of the tour share: making elements, drawing formulas, and tying terms to blocks.
// PALETTE comes from figures/roles.py. Text reaches the page through textContent alone.

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null));
  return element;
}

function roleColour(role) {
  return `var(--role-${role.replaceAll("_", "-")})`;
}

function roleInk(role) {
  return `var(--role-${role.replaceAll("_", "-")}-text)`;
}

// A formula's tree (lessons/formula.py) as elements. Terms take focus unless they stand in running text.
function mathOf(nodes, { focusable = true, links = {} } = {}) {
  return nodes.map((node) => mathNode(node, { focusable, links }));
}

function mathNode(node, options) {
  const inner = () => mathOf(node.children || [], options);
  switch (node.kind) {
    case "prose":
      return document.createTextNode(node.text);
    case "letter":
      return linked(make("i", {}, node.text), node.text, options);
    case "word":
      return make("span", { class: "math-word" }, node.text);
    case "text":
      return document.createTextNode(node.text);
    case "sub":
    case "sup":
      return make(node.kind, {}, inner());
    case "hat":
    case "tilde": {
      const mark = make("span", { class: `math-accent ${node.kind}` }, inner());
      return linked(mark, `\\${node.kind} ${node.children[0].text}`, options);
    }
    case "frac":
      return make("span", { class: "math-frac" }, inner().map((part) => make("span", {}, part)));
    case "term": {
      const attributes = { class: "math-term", "data-key": node.key, style: `--tint: ${roleInk(node.role)}` };
      if (options.focusable) Object.assign(attributes, { tabindex: 0, role: "button", "aria-label": node.spoken });
      return make("span", attributes, inner());
    }
    default:
      return make("span", {}, inner());
  }
}

// In running text a symbol that is a whole term of the formula lights the same blocks.
function linked(element, symbol, { links }) {
  const link = links[symbol];
  if (!link) return element;
  const attributes = { class: "math-term", "data-key": link.key, style: `--tint: ${roleInk(link.role)}` };
  return make("span", attributes, element);
}

function sentence(nodes, links) {
  return mathOf(nodes, { focusable: false, links }).map((part) =>
    part.nodeType === Node.TEXT_NODE ? part : make("span", { class: "math" }, part),
  );
}

// Pointing at a term or block, or focusing it, lights everything of its key; a click keeps it lit until the next. What
// has the keyboard's focus stays lit while the page moves below the pointer, as it does when focus scrolls it.
function tieTerms(root) {
  if (root.dataset.tied) return;
  root.dataset.tied = "yes";
  let kept = "";
  const keyAt = (event) => event.target.closest?.("[data-key]")?.dataset.key || "";
  const held = () => kept || root.querySelector("[data-key]:focus-visible")?.dataset.key || "";
  root.addEventListener("pointerover", (event) => light(root, keyAt(event) || held()));
  root.addEventListener("pointerleave", () => light(root, held()));
  root.addEventListener("focusin", (event) => light(root, keyAt(event) || kept));
  root.addEventListener("focusout", () => light(root, kept));
  root.addEventListener("click", (event) => {
    if (!event.target.closest?.("[data-key]")) return;
    kept = kept === keyAt(event) ? "" : keyAt(event);
    light(root, kept || keyAt(event));
  });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape") light(root, (kept = ""));
    if ((event.key === "Enter" || event.key === " ") && event.target.matches?.("[data-key]")) {
      event.preventDefault();
      kept = kept === keyAt(event) ? "" : keyAt(event);
      light(root, kept || keyAt(event));
    }
  });
}

function light(root, key) {
  root.toggleAttribute("data-lighting", Boolean(key));
  for (const element of root.querySelectorAll("[data-key]")) {
    element.classList.toggle("lit", Boolean(key) && element.dataset.key === key);
  }
}

// Back and next: below the text on a wide page, below the picture on a narrow one.
function turnPages({ index, count }) {
  const turn = (id, text, step) => {
    const button = make("button", { type: "button", class: id }, text);
    button.toggleAttribute("disabled", step < 0 || step >= count);
    button.addEventListener("click", () => go(step));
    return button;
  };
  return [turn("learn-back", "Back", index - 1), turn("learn-next", "Next step", index + 1)];
}

function go(step) {
  window.pageState.set({ step });
  const root = element.closest("#learn");
  if (root && root.getBoundingClientRect().top < 0) root.scrollIntoView({ block: "start" });
}
