// The usage page: what replies took in a time, by day and by model.

import * as api from "./api.js";
import { el } from "./dom.js";
import { choices, fold } from "./fields.js";
import { bytes, compact, day, money, month, number, words } from "./lang/en.js";
import { loading, pageFrame, part } from "./pages.js";
import { barPlot, rowPlot } from "./plot.js";

const w = words.usage;
const DAY_MS = 86_400_000;
const MEASURES = {
  tokens: { of: ({ input_tokens: i, output_tokens: o }) => i + o, format: compact },
  cost: { of: ({ price }) => price, format: money },
};
/** More bars than this are too thin to tell apart: a longer time is shown by months. */
const DAYS_MAX = 120;
/** Models that the plot shows; the table has them all. */
const MODELS_MAX = 8;

export function mount(host) {
  const box = el("div", { class: "usage" });
  let days = "30";
  let measure = "tokens";
  let redraw = () => {};
  const load = async () => {
    const to = isoDay(Date.now());
    const from = isoDay(Date.now() - (Number(days) - 1) * DAY_MS);
    const [byDay, byModel] = await Promise.all([api.usage(from, to, "day"), api.usage(from, to, "model")]);
    return { from, to, byDay: byDay.rows, byModel: byModel.rows };
  };
  const draw = (used) => {
    if (used.byDay.length === 0) {
      redraw = () => {};
      return el("p", { class: "list-note" }, w.empty);
    }
    const plots = [el("div"), el("div")];
    const made = [figures(used.byDay), timePart(used, plots[0]), modelPart(used, plots[1])];
    redraw = () => {
      plots[0].replaceChildren(timePlot(used, measure));
      plots[1].replaceChildren(modelPlot(used.byModel, measure));
    };
    redraw();
    return made;
  };
  const again = loading(box, load, draw, w.failed);
  const range = choices(w.range, "range", w.ranges, days, (value) => {
    days = value;
    again();
  });
  const show = choices(w.show, "measure", { tokens: w.tokens, cost: w.cost }, measure, (value) => {
    measure = value;
    redraw();
  });
  const own = el("div", { class: "list-box" });
  loading(own, api.ownLimits, drawLimits, w.failed);
  host.replaceChildren(
    pageFrame(w.heading, w.lead, part(w.limits, "", own), el("div", { class: "choice-rows" }, range, show), box),
  );
  host.querySelector("h1").focus({ preventScroll: true });
  return () => {};
}

const isoDay = (time) => new Date(time).toISOString().slice(0, 10);

/** What was sent, spent and kept, and how much of each there may be. */
function drawLimits(own) {
  const fact = (name, used, limit) => [el("dt", null, name), el("dd", null, limit === null ? used : w.of(used, limit))];
  const limitOf = (limit, format) => (limit === null ? null : format(limit));
  return el(
    "dl",
    { class: "facts" },
    fact(w.today, number(own.messages_today), limitOf(own.messages_per_day, w.messages)),
    fact(w.thisMonth, money(own.spent_usd_month), limitOf(own.budget_usd_month, money)),
    fact(w.files, bytes(own.upload_bytes), bytes(own.upload_quota_bytes)),
  );
}

function figures(rows) {
  const total = { input_tokens: 0, output_tokens: 0, price: 0 };
  for (const row of rows) add(total, row);
  const figure = (label, value) => el("div", null, el("dt", null, label), el("dd", null, value));
  return el(
    "dl",
    { class: "figures" },
    figure(w.cost, money(total.price)),
    figure(w.input, compact(total.input_tokens)),
    figure(w.output, compact(total.output_tokens)),
  );
}

function add(total, row) {
  for (const name of ["input_tokens", "output_tokens", "price"]) total[name] += row[name];
}

/** The days or months of the time without gaps: one in which nothing was used is one too. `[{ label, … }]` */
function periods({ byDay, from, to }) {
  const days = (Date.parse(to) - Date.parse(from)) / DAY_MS + 1;
  const isLong = days > DAYS_MAX;
  const found = new Map();
  for (let i = 0; i < days; i++) {
    const date = isoDay(Date.parse(from) + i * DAY_MS);
    const key = isLong ? date.slice(0, 7) : date;
    if (found.has(key)) continue;
    found.set(key, { label: isLong ? month(date) : day(date), input_tokens: 0, output_tokens: 0, price: 0 });
  }
  for (const row of byDay) add(found.get(isLong ? row.day.slice(0, 7) : row.day), row);
  return { isLong, rows: [...found.values()] };
}

function timePart(used, plot) {
  const { isLong, rows } = periods(used);
  const table = tableOf([isLong ? w.month : w.day, w.input, w.output, w.cost], rows.toReversed().map(cells));
  return part(isLong ? w.byMonth : w.byDay, "", plot, fold(w.table, table));
}

function timePlot(used, measure) {
  const { of, format } = MEASURES[measure];
  const { isLong, rows } = periods(used);
  const points = rows.map((row) => ({ label: row.label, value: of(row), title: w.at(row.label, format(of(row))) }));
  return barPlot(points, { format, name: w.plot(w[measure], isLong ? w.byMonth : w.byDay) });
}

const modelPart = ({ byModel }, plot) =>
  part(w.byModel, "", plot, fold(w.table, tableOf([w.model, w.input, w.output, w.cost], dearest(byModel).map(cells))));

function modelPlot(rows, measure) {
  const { of, format } = MEASURES[measure];
  const points = rows
    .map((row) => ({ label: row.model, value: of(row), said: format(of(row)) }))
    .toSorted((a, b) => b.value - a.value)
    .slice(0, MODELS_MAX);
  const said = points.map(({ label, said: value }) => w.at(label, value)).join("; ");
  return rowPlot(points, { name: `${w.plot(w[measure], w.byModel)}: ${said}` });
}

const dearest = (rows) => rows.toSorted((a, b) => b.price - a.price || b.input_tokens - a.input_tokens);
const cells = (row) => [row.label ?? row.model, number(row.input_tokens), number(row.output_tokens), money(row.price)];

function tableOf(heads, rows) {
  const head = heads.map((text, i) => el("th", { scope: "col", class: i === 0 ? null : "figure" }, text));
  const body = rows.map(([name, ...figures]) =>
    el(
      "tr",
      null,
      el("th", { scope: "row" }, name),
      figures.map((text) => el("td", { class: "figure" }, text)),
    ),
  );
  return el(
    "div",
    { class: "table-box", tabindex: "0", role: "region", "aria-label": heads[0] },
    el("table", { class: "figures-table" }, el("thead", null, el("tr", null, head)), el("tbody", null, body)),
  );
}
