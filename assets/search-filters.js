// The filters of a search, as buttons beneath its field: what one may filter by, and behind a colon by what.

import { el } from "./dom.js";
import { words } from "./lang/en.js";
import { usableModels } from "./store.js";

const w = words.palette.filters;
/** Models that are offered: one line of them. */
const MODELS_MAX = 5;

/** What may stand behind each. What is not a choice is offered as examples. */
const VALUES = {
  in: () => ["messages", "titles", "documents"],
  model: () => usableModels().slice(0, MODELS_MAX),
  role: () => ["user", "assistant"],
  before: dates,
  after: dates,
};

/** This year, this month and today (UTC, as the server takes them). */
function dates() {
  const today = new Date().toISOString();
  return [today.slice(0, 4), today.slice(0, 7), today.slice(0, 10)];
}

/** A filter at the end of a text that has no value yet. */
const openFilter = (text) => /(?:^|\s)(in|model|role|before|after):$/i.exec(text)?.[1].toLowerCase();

/** A text without the filter that is being typed at its end: nobody looks for the word "role" there. */
export const withoutOpenFilter = (text) => (openFilter(text) ? text.replace(/\w+:$/, "") : text);

/** A button for each filter, or for each value of the one being typed. `changed` runs when one has been put into the field. */
export function filterChips(input, changed) {
  const open = openFilter(input.value);
  const put = (text) => {
    const before = input.value;
    input.value = open || before === "" || before.endsWith(" ") ? before + text : `${before} ${text}`;
    input.focus();
    changed();
  };
  const chip = (label, hint, text) =>
    el("button", { type: "button", class: "tag", title: hint, "aria-label": hint, onclick: () => put(text) }, label);
  if (!open) return Object.keys(VALUES).map((key) => chip(`${key}:`, w.add(key, w.hints[key]), `${key}:`));
  return VALUES[open]().map((value) => chip(value, w.add(`${open}:${value}`), `${value} `));
}
