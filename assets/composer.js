// Where a message is written. It knows drafts and sending, and nothing of how messages look.

import { el, iconButton } from "./dom.js";
import { draftOf, write } from "./drafts.js";
import { words } from "./lang/en.js";
import { openId, openThread, updateThread, watch } from "./store.js";
import { send } from "./turns.js";

const w = words.composer;
// On a touch keyboard Enter is the only way to a new line; the button sends.
const enterSends = !matchMedia("(hover: none) and (pointer: coarse)").matches;

export function composer() {
  const input = el("textarea", {
    id: "message",
    rows: "1",
    "aria-label": w.label,
    placeholder: w.placeholder,
    dir: "auto",
    "aria-describedby": "composer-problem",
  });
  const button = iconButton("send", w.send, { type: "submit", class: "icon-button send" });
  const unsent = el("p", { class: "problem", id: "composer-problem", role: "alert" });
  const form = el("form", { class: "composer" }, input, button);

  const submit = (event) => {
    event?.preventDefault();
    const text = input.value.trim();
    if (text !== "" && openThread().waiting !== "asked") send(openId(), text);
  };
  form.addEventListener("submit", submit);
  // The whole box is the field, also where it has no text yet.
  form.addEventListener("pointerup", ({ target }) => target === form && input.focus());
  input.addEventListener("keydown", (event) => {
    // While an input method composes, Enter picks a word; Safari tells so only by the key code.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (enterSends || event.ctrlKey || event.metaKey) submit(event);
  });
  input.addEventListener("input", () => {
    if (openThread().unsent !== "") updateThread(openId(), { unsent: "" });
    write(openId(), input.value);
  });

  const dock = el("div", { class: "dock" }, unsent, form, el("p", { class: "keys", "aria-hidden": "true" }, w.keys));
  new ResizeObserver(() => {
    // Another width breaks the lines elsewhere.
    grow(input);
    // Toasts stand above the composer, however many lines it has.
    document.documentElement.style.setProperty("--dock", `${dock.offsetHeight}px`);
  }).observe(dock);

  watch((state) => [openId(state), draftOf(openId(state), state), openThread(state)], (state) => {
    const draft = draftOf(openId(state), state);
    if (input.value !== draft) input.value = draft;
    grow(input);
    const { status, waiting, unsent: reason } = openThread(state);
    dock.hidden = status === "missing";
    button.disabled = draft.trim() === "" || waiting === "asked";
    button.title = waiting === "asked" ? w.waiting : w.send;
    unsent.textContent = reason;
  });
  return dock;
}

/** Gives the field the height of its text; the style sheet says how far. */
function grow(input) {
  if (!input.isConnected) return;
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight}px`;
}
