// Small pieces that both components use.

/** A new element with a class and children; strings become text. */
function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function grouped(number) {
  return number.toLocaleString('en-US');
}
