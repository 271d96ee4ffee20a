// Builds the page. Text becomes text nodes here and nowhere becomes markup:
// no other module creates elements, and none sets innerHTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `props` holds attributes; a function under `onclick` and the like becomes a listener,
 * `true` an empty attribute, and `false`, `null` and `undefined` leave the attribute out.
 */
export function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

/** One of the icons in the shell. It is decoration: the control around it carries the name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button that shows an icon and is named by `label`. */
export function iconButton(name, label, props) {
  return el(
    "button",
    { type: "button", class: "icon-button", "aria-label": label, title: label, ...props },
    icon(name),
  );
}

/**
 * Makes `nodes` the children of `parent`. Nodes that stay are not taken out and put back, because that
 * would lose the focus, the selection and the scroll position inside them.
 */
export function place(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}

/**
 * Runs `draw`, and where that takes away what the keyboard is on, puts it on what `next` finds. A pointer's focus is let
 * go: on a phone it would bring up the keys.
 */
export function keepFocus(parent, draw, next) {
  const held = document.activeElement;
  const isHeld = parent.contains(held) && held.matches(":focus-visible");
  draw();
  if (isHeld && !held.isConnected) next(held)?.focus({ preventScroll: true });
}

/** Gives a field the height of its text; the style sheet says how far. */
export function grow(input) {
  if (!input.isConnected) return;
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight}px`;
}

/** Takes files that are dropped anywhere on the page while `isWanted`; `over` is told whether some are held above it. */
export function takeDrops(signal, { isWanted, over, take }) {
  const hasFiles = (event) => isWanted() && event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => hasFiles(event) && (event.preventDefault(), over(true)), { signal });
  addEventListener("dragleave", (event) => event.relatedTarget === null && over(false), { signal });
  addEventListener(
    "drop",
    (event) => {
      over(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      take([...event.dataTransfer.files]);
    },
    { signal },
  );
}

/** Calls `make` again only when what the node is about has changed: a node that stays keeps its focus and its place. */
export function memo(make) {
  let seen = null;
  let node = null;
  return (...about) => {
    if (seen?.length === about.length && about.every((value, i) => Object.is(value, seen[i]))) return node;
    seen = about;
    node = make(...about);
    return node;
  };
}
