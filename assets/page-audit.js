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
  const load = (found) => {
    const page = () => api.audit(act.input.value, found.at(-1)?.id);
    loading(list, page, ({ entries, total }) => draw([...found, ...entries], total - entries.length), w.failed);
  };
  const draw = (found, left) =>
    found.length === 0
      ? el("p", { class: "list-note" }, w.empty)
      : [
          el("ul", { class: "rows", role: "list" }, found.map(row)),
          left > 0
            ? el("button", { type: "button", class: "quiet-button", onclick: () => load(found) }, words.library.more)
            : null,
        ];
  act.input.addEventListener("change", () => {
    // What is not asked for any more must not be gone on with.
    list.replaceChildren();
    load([]);
  });
  load([]);
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
  return w.changed(name, said(field, to), from === null || from.length === 0 ? "" : said(field, from));
}

/** A value in words. What people have chosen, such as a name, stays as it is, also where it is a word of ours. */
function said(field, value) {
  if (value === null || value.length === 0) return w.none;
  if (Array.isArray(value)) return value.join(", ");
  const isOurs = (typeof value === "boolean" || field === "role") && Object.hasOwn(w.values, value);
  return isOurs ? w.values[value] : String(value);
}
