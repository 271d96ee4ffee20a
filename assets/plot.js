// Plots drawn as SVG: bars over time, and bars side by side by size. They are drawn in the size they are shown at, so that
// their words keep the size of the page's. A table beside each says the same.

import { el } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
/** In rem, like all measures here: a larger text needs more room. */
const HEIGHT = 13;
const MARGIN = { top: 1.25, bottom: 1.75, side: 3.5 };
const ROW = 2.5;
/** Lines across. */
const LINES = 3;
/** Room for the name of a day. */
const LABEL_WIDTH = 4.5;
const BAR_WIDTH = 1.75;
const BAR_HEIGHT = 0.375;
/** A character of a name, on average. */
const CHARACTER = 0.5;

/**
 * Draws `points`, `{ label, value, title }`, as bars over time; `format` puts a value of the scale in words. `name` is what
 * is read out. The pointer and the arrow keys go from one point to the next and show its title.
 */
export function barPlot(points, { format, name }) {
  const said = el("p", { class: "plot-said", hidden: true });
  const plot = drawn({ class: "plot", role: "slider", tabindex: "0", "aria-label": name }, (rem, width) =>
    bars(points, format, rem, width),
  );
  plot.append(said);
  plot.setAttribute("aria-valuemin", "1");
  plot.setAttribute("aria-valuemax", String(points.length));
  let at = points.length - 1;
  const go = (to) => {
    at = Math.min(Math.max(to, 0), points.length - 1);
    plot.setAttribute("aria-valuenow", String(at + 1));
    plot.setAttribute("aria-valuetext", points[at].title);
    said.textContent = points[at].title;
  };
  const show = () => {
    said.hidden = false;
    const reaches = [...plot.querySelectorAll(".plot-reach")];
    reaches.forEach((node, i) => node.toggleAttribute("data-at", i === at));
    const middle = Number(reaches[at].getAttribute("x")) + Number(reaches[at].getAttribute("width")) / 2;
    const half = said.offsetWidth / 2;
    said.style.left = `${Math.min(Math.max(middle, half), plot.clientWidth - half)}px`;
  };
  const hide = () => {
    said.hidden = true;
    plot.querySelector("[data-at]")?.removeAttribute("data-at");
  };
  plot.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: points.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
    show();
  });
  plot.addEventListener("pointermove", ({ target }) => {
    const over = [...plot.querySelectorAll(".plot-reach")].indexOf(target);
    if (over < 0) return;
    go(over);
    show();
  });
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("focus", () => plot.matches(":focus-visible") && show());
  plot.addEventListener("blur", hide);
  go(at);
  return plot;
}

/** Draws `points`, `{ label, value, said }`, each as a line of its own with a bar as long as its value is large. */
export function rowPlot(points, { name }) {
  const most = Math.max(...points.map(({ value }) => value), Number.MIN_VALUE);
  return drawn({ class: "plot", role: "img", "aria-label": name }, (rem, width) => {
    const rows = points.flatMap(({ label: text, value, said }, i) => {
      const [top, thick] = [ROW * rem * i, rem * BAR_HEIGHT];
      const bar = { x: 0, y: top + rem * 1.5, height: thick, rx: thick / 2 };
      const room = Math.floor((width / rem - said.length * CHARACTER) / CHARACTER) - 2;
      return [
        written("plot-name", shortened(text, room), { x: 0, y: top + rem }),
        written("plot-label", said, { x: width, y: top + rem, "text-anchor": "end" }),
        shape("rect", { class: "plot-track", ...bar, width }),
        shape("rect", { class: "plot-bar", ...bar, width: value > 0 ? Math.max((width * value) / most, thick) : 0 }),
      ];
    });
    return { height: ROW * rem * points.length, shapes: rows };
  });
}

/** An element that holds what `draw(rem, width)` gives, drawn anew for each width. */
function drawn(props, draw) {
  const svg = shape("svg", { "aria-hidden": "true" });
  const node = el("div", props, svg);
  const watcher = new ResizeObserver(() => {
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    const width = node.clientWidth;
    // Nothing is drawn that is not shown.
    if (width <= MARGIN.side * rem) return;
    const { height, shapes } = draw(rem, width);
    for (const [name, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` }))
      svg.setAttribute(name, value);
    svg.replaceChildren(...shapes);
  });
  watcher.observe(node);
  return node;
}

function bars(points, format, rem, total) {
  const most = niceAbove(Math.max(...points.map(({ value }) => value), 0));
  const left = MARGIN.side * rem;
  const top = MARGIN.top * rem;
  const width = total - left;
  const height = (HEIGHT - MARGIN.top - MARGIN.bottom) * rem;
  const y = (value) => top + height * (1 - value / most);
  const step = width / points.length;
  const bar = Math.max(Math.min(step * 0.7, BAR_WIDTH * rem), 1);
  const lines = Array.from({ length: LINES + 1 }, (_, i) => (most * i) / LINES).flatMap((value) => [
    shape("line", { class: "plot-line", x1: left, x2: total, y1: y(value), y2: y(value) }),
    written("plot-label", format(value), { x: left - rem / 2, y: y(value) + rem / 4, "text-anchor": "end" }),
  ]);
  const columns = points.flatMap(({ value }, i) => {
    const from = value > 0 ? Math.min(y(value), y(0) - 2) : y(0);
    const x = left + step * (i + 0.5) - bar / 2;
    return [
      shape("rect", { class: "plot-bar", x, y: from, width: bar, height: y(0) - from, rx: Math.min(3, bar / 2) }),
      // The whole column answers to the pointer, not only the bar.
      shape("rect", { class: "plot-reach", x: left + step * i, y: top, width: step, height }),
    ];
  });
  const every = Math.ceil(points.length / Math.max(Math.floor(width / (LABEL_WIDTH * rem)), 1));
  const names = points.flatMap(({ label }, i) => {
    // The latest has its name, and those that stand in whole steps before it.
    if ((points.length - 1 - i) % every !== 0) return [];
    const half = (LABEL_WIDTH / 2) * rem;
    const x = Math.min(left + step * (i + 0.5), total - Math.min(half, rem * 1.5));
    return [written("plot-label", label, { x, y: (HEIGHT - 0.375) * rem, "text-anchor": "middle" })];
  });
  return { height: HEIGHT * rem, shapes: [...lines, ...columns, ...names] };
}

/** The next round number that splits evenly into the lines. */
function niceAbove(value) {
  if (value === 0) return LINES;
  const magnitude = 10 ** Math.floor(Math.log10(value / LINES));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * magnitude).find((size) => size * LINES >= value);
  return step * LINES;
}

const shortened = (text, room) => (text.length > room ? `${text.slice(0, Math.max(room - 1, 1))}…` : text);

function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function written(style, text, at) {
  const node = shape("text", { class: style, ...at });
  node.textContent = text;
  return node;
}
