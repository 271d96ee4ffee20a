// A plot of bars, drawn as SVG: one bar a day, with a scale that people can read. The table under it says the same.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 200;
const MARGIN = { top: 12, bottom: 24, side: 52 };
/** Lines across. */
const LINES = 3;
/** Room for a day's name. */
const LABEL_WIDTH = 110;

/** Draws `points`, `{ label, value, title }`; `format` puts a value of the scale in words. `name` is what is read out. */
export function barPlot(points, { format, name }) {
  const most = niceAbove(Math.max(...points.map(({ value }) => value), 0));
  // Drawn in about the size it is shown at, so that the words keep theirs.
  const total = innerWidth < 640 ? 360 : 720;
  const left = MARGIN.side;
  const width = total - left;
  const height = HEIGHT - MARGIN.top - MARGIN.bottom;
  const y = (value) => MARGIN.top + height * (1 - value / most);
  const step = width / Math.max(points.length, 1);
  const bar = Math.max(Math.min(step * 0.7, 28), 1);
  const lines = Array.from({ length: LINES + 1 }, (_, i) => (most * i) / LINES).flatMap((value) => [
    shape("line", { class: "plot-line", x1: left, x2: total, y1: y(value), y2: y(value) }),
    label(format(value), { x: left - 8, y: y(value) + 4, "text-anchor": "end" }),
  ]);
  const bars = points.map(({ value, title }, i) => {
    const x = left + step * (i + 0.5) - bar / 2;
    const top = value > 0 ? Math.min(y(value), y(0) - 2) : y(0);
    const column = shape("g", { class: "plot-column" });
    // The whole column answers to the pointer, not only the bar.
    column.append(
      titled(shape("rect", { class: "plot-reach", x: left + step * i, y: MARGIN.top, width: step, height }), title),
    );
    column.append(
      shape("rect", { class: "plot-bar", x, y: top, width: bar, height: y(0) - top, rx: Math.min(3, bar / 2) }),
    );
    return column;
  });
  const every = Math.ceil(points.length / Math.floor(width / LABEL_WIDTH));
  const names = points.flatMap(({ label: text }, i) =>
    i % every === 0 ? [label(text, { x: left + step * (i + 0.5), y: HEIGHT - 6, "text-anchor": "middle" })] : [],
  );
  const svg = shape("svg", { class: "plot", viewBox: `0 0 ${total} ${HEIGHT}`, role: "img", "aria-label": name });
  svg.append(...lines, ...bars, ...names);
  return svg;
}

/** The next round number that splits evenly into the lines. */
function niceAbove(value) {
  if (value === 0) return LINES;
  const magnitude = 10 ** Math.floor(Math.log10(value / LINES));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * magnitude).find((size) => size * LINES >= value);
  return step * LINES;
}

function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function label(text, at) {
  const node = shape("text", { class: "plot-label", ...at });
  node.textContent = text;
  return node;
}

function titled(node, text) {
  const title = shape("title", {});
  title.textContent = text;
  node.append(title);
  return node;
}
