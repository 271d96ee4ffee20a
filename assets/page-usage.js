// The usage page: what replies took in a time, by day and by model.

import * as api from "./api.js";
import { el } from "./dom.js";
import { choices } from "./fields.js";
import { compact, day, money, number, words } from "./lang/en.js";
import { loading, pageFrame, part } from "./pages.js";
import { barPlot } from "./plot.js";

const w = words.usage;
const DAY_MS = 86_400_000;
const MEASURES = {
  tokens: { of: ({ input_tokens: i, output_tokens: o }) => i + o, format: compact },
  cost: { of: ({ price }) => price, format: money },
};

export function mount(host) {
  const box = el("div", { class: "usage" });
  let days = "30";
  const load = async () => {
    const to = isoDay(Date.now());
    const from = isoDay(Date.now() - (Number(days) - 1) * DAY_MS);
    const [byDay, byModel] = await Promise.all([api.usage(from, to, "day"), api.usage(from, to, "model")]);
    return { from, to, byDay: rowsOf(byDay), byModel: rowsOf(byModel) };
  };
  const again = loading(box, load, draw, w.failed);
  const range = choices(w.range, "range", w.ranges, days, (value) => {
    days = value;
    again();
  });
  host.replaceChildren(pageFrame(w.heading, w.lead, range, box));
  host.querySelector("h1").focus({ preventScroll: true });
  return () => {};
}

const isoDay = (time) => new Date(time).toISOString().slice(0, 10);
const rowsOf = (payload) => (Array.isArray(payload) ? payload : (payload.rows ?? payload.usage ?? []));

function draw({ from, to, byDay, byModel }) {
  if (byDay.length === 0 && byModel.length === 0) return el("p", { class: "list-note" }, w.empty);
  const total = { input_tokens: 0, output_tokens: 0, price: 0 };
  for (const row of byDay) for (const name of Object.keys(total)) total[name] += row[name] ?? 0;
  const plotted = el("div");
  const show = (measure) => plotted.replaceChildren(plotOf(everyDay(byDay, from, to), MEASURES[measure], w[measure]));
  show("tokens");
  return [
    el(
      "dl",
      { class: "figures" },
      figure(w.cost, money(total.price)),
      figure(w.input, compact(total.input_tokens)),
      figure(w.output, compact(total.output_tokens)),
    ),
    part(
      w.byDay,
      "",
      choices(w.show, "measure", { tokens: w.tokens, cost: w.cost }, "tokens", show),
      plotted,
      el("details", { class: "table-fold" }, el("summary", null, w.table), dayTable(byDay)),
    ),
    part(w.byModel, "", modelTable(byModel)),
  ];
}

const figure = (label, value) => el("div", null, el("dt", null, label), el("dd", null, value));

/** The days of the time without gaps: a day on which nothing was used is a day too. */
function everyDay(rows, from, to) {
  const known = new Map(rows.map((row) => [row.day, row]));
  const days = [];
  for (let at = Date.parse(from); at <= Date.parse(to); at += DAY_MS) {
    const name = isoDay(at);
    days.push(known.get(name) ?? { day: name, input_tokens: 0, output_tokens: 0, price: 0 });
  }
  return days;
}

function plotOf(days, { of, format }, name) {
  const points = days.map((row) => ({
    label: day(row.day),
    value: of(row),
    title: w.at(day(row.day), format(of(row))),
  }));
  return barPlot(points, { format, name: `${name}, ${w.byDay.toLowerCase()}` });
}

const dayTable = (rows) =>
  tableOf(
    [w.day, w.input, w.output, w.cost],
    rows
      .toReversed()
      .map((row) => [day(row.day), number(row.input_tokens), number(row.output_tokens), money(row.price)]),
  );

/** Models, the dearest first; a bar behind each shows its share. */
function modelTable(rows) {
  const sorted = rows.toSorted((a, b) => b.price - a.price || b.input_tokens - a.input_tokens);
  return tableOf(
    [w.model, w.input, w.output, w.cost],
    sorted.map((row) => [row.model, number(row.input_tokens), number(row.output_tokens), money(row.price)]),
  );
}

function tableOf(heads, rows) {
  const head = el(
    "tr",
    null,
    heads.map((text, i) => el("th", { scope: "col", class: i === 0 ? null : "figure" }, text)),
  );
  const body = rows.map((cells) =>
    el(
      "tr",
      null,
      cells.map((text, i) => (i === 0 ? el("th", { scope: "row" }, text) : el("td", { class: "figure" }, text))),
    ),
  );
  return el(
    "div",
    { class: "table-box", tabindex: "0", role: "region", "aria-label": heads[0] },
    el("table", { class: "figures-table" }, el("thead", null, head), el("tbody", null, body)),
  );
}
