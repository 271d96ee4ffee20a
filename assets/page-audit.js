// The log of what administrators have done: who, what and when, newest first.

import * as api from "./api.js";
import { el } from "./dom.js";
import { select } from "./fields.js";
import { time, words } from "./lang/en.js";
import { loading, part } from "./pages.js";

const w = words.audit;

export function log() {
  const list = el("div", { class: "list-box" });
  const act = select(w.show, "audit-act", { "": w.all, ...w.acts }, "");
  let found = [];
  const page = async (offset) => {
    const { entries, total } = await api.audit(offset, act.input.value);
    found = [...found.slice(0, offset), ...entries];
    return total;
  };
  const more = () => loading(list, () => page(found.length), draw, w.failed);
  const draw = (total) =>
    found.length === 0
      ? el("p", { class: "list-note" }, w.empty)
      : [
          el("ul", { class: "rows", role: "list" }, found.map(row)),
          found.length < total
            ? el("button", { type: "button", class: "quiet-button", onclick: more }, words.library.more)
            : null,
        ];
  const again = loading(list, () => page(0), draw, w.failed);
  act.input.addEventListener("change", again);
  return part(words.admin.sections.log, w.lead, el("div", { class: "fields" }, act), list);
}

function row({ at, user_name: who, address, means, act, subject, changes }) {
  const about = [who, w.means[means], address, time(at)].filter(Boolean).join(" · ");
  return el(
    "li",
    null,
    el(
      "div",
      { class: "row-text" },
      el(
        "span",
        { class: "row-name" },
        el("strong", null, w.acts[act] ?? act),
        subject && el("span", { dir: "auto" }, subject),
      ),
      changes.length > 0 && el("span", { dir: "auto" }, changes.map(change).join("; ")),
      el("span", { class: "hint", dir: "auto" }, about),
    ),
  );
}

/** "Messages a day: 50, was 20". Of secrets neither is known. */
function change({ field, from, to }) {
  const name = w.fields[field] ?? field.replaceAll("_", " ");
  if (to === undefined) return w.secret(name);
  return w.changed(name, said(to), from === null || from.length === 0 ? "" : said(from));
}

const said = (value) =>
  value === null || value.length === 0
    ? w.none
    : Array.isArray(value)
      ? value.join(", ")
      : (w.values[value] ?? String(value));
