// Forms of the pages: a labelled field, a form that saves and says so, a row of choices.

import { el, icon } from "./dom.js";
import { words } from "./lang/en.js";
import { toast } from "./overlay.js";

/** A labelled input with, if wanted, a hint below it; the input is `.input`. */
export function field(label, props, { hint = "", tag = "input" } = {}) {
  const { value, ...others } = props;
  const about = hint ? `${props.id}-hint` : null;
  const input = el(tag, { autocomplete: "off", "aria-describedby": about, ...others });
  if (value != null) input.value = value;
  const complaint = el("p", { class: "problem", role: "alert" });
  input.addEventListener("input", () => (complaint.textContent = ""));
  const node = el(
    "div",
    { class: "field" },
    el("label", { for: props.id }, label),
    tag === "select" ? el("span", { class: "select" }, input, icon("down-small")) : input,
    hint ? el("p", { class: "hint", id: about }, hint) : null,
    complaint,
  );
  return Object.assign(node, { input, complain: (text) => (complaint.textContent = text) });
}

/** A select; `options` is `{ value: label }`. */
export function select(label, id, options, value, hint) {
  const made = field(label, { id }, { tag: "select", hint });
  made.input.append(...Object.entries(options).map(([key, text]) => el("option", { value: key }, text)));
  made.input.value = value ?? "";
  return made;
}

/**
 * A form whose `save` sends it; a refusal is put at the field it is about, by the field's id, or below the form. `saved`
 * is what is said when it worked, "" for nothing.
 */
export function formOf(fields, { label, save, saved = words.saved, extra = [] }) {
  const problem = el("p", { class: "problem", role: "alert" });
  const button = el("button", { class: "button" }, label);
  const all = fields.flat().filter((one) => one.input);
  const onsubmit = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    button.disabled = true;
    try {
      await save();
      if (saved) toast({ text: saved });
    } catch (error) {
      if (error.status === undefined) console.error(error);
      const named = all.filter(({ input }) => error.fields?.[input.name]);
      for (const one of named) one.complain(error.fields[one.input.name]);
      if (named.length === 0)
        problem.textContent =
          error.status === 0 ? words.unreachable : (error.explained ?? words.notSaved(error.detail));
      named[0]?.input.focus();
    } finally {
      button.disabled = false;
    }
  };
  return el(
    "form",
    { class: "fields", onsubmit },
    fields,
    problem,
    el("div", { class: "form-foot start" }, button, extra),
  );
}

/** A row of choices of which one holds; `options` is `{ value: label }`. */
export function choices(legend, name, options, value, choose) {
  return el(
    "fieldset",
    { class: "choices" },
    el("legend", null, legend),
    Object.entries(options).map(([key, label]) => {
      const input = el("input", {
        type: "radio",
        name,
        value: key,
        checked: key === value,
        onchange: () => choose(key),
      });
      return el("label", null, input, el("span", null, label));
    }),
  );
}

/** Shows in `bar` how much of an upload has gone; once all has, the server works on it for as long as it takes. */
export function showProgress(bar, part) {
  if (part < 1) bar.value = part;
  else bar.removeAttribute("value");
}

/** What is there for those who ask for it, under `label`. */
export const fold = (label, ...content) =>
  el("details", { class: "fold" }, el("summary", null, icon("chevron"), label), ...content);

/** What a row of a list says: its name, and below it what there is to know; `hint` says more where a pointer rests. */
export const rowText = (title, about, hint) =>
  el(
    "div",
    { class: "row-text" },
    el("strong", { dir: "auto", title: hint }, title),
    el("span", { class: "hint", dir: "auto" }, about),
  );
