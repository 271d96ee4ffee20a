// One short message at a time, at the foot of the page, which may offer to undo what it tells.

import { el, iconButton, place } from "./dom.js";
import { words } from "./lang/en.js";

const SHORT_MS = 5000;

let region = null;
let hide = () => {};
let act = null;

/** The place where messages appear. It is in the page from the start, so that they are read out. */
export function toastRegion(signal) {
  region = el("div", { class: "toasts", role: "status" });
  document.addEventListener("keydown", undoByKey, { signal });
  return region;
}

/** Shows `text`, in place of any message before it; `action` is `{ label, run }`. */
export function toast({ text, action = null, ms = SHORT_MS }) {
  hide();
  let timer;
  const close = () => {
    clearTimeout(timer);
    if (act === take) act = null;
    node.remove();
  };
  const take = action && (() => (close(), action.run()));
  const node = el(
    "div",
    { class: "toast" },
    el("span", null, text),
    action && el("button", { type: "button", class: "link", onclick: take }, action.label),
    iconButton("close", words.dismiss, { onclick: close }),
  );
  // Someone who is reaching for it is not hurried.
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(close, ms);
  };
  for (const type of ["pointerenter", "focusin"]) node.addEventListener(type, () => clearTimeout(timer));
  for (const type of ["pointerleave", "focusout"]) node.addEventListener(type, wait);
  wait();
  hide = close;
  act = take;
  place(region, [node]);
}

/** Ctrl or Cmd+Z, outside of text, takes the action on offer. */
function undoByKey(event) {
  const inText = event.target.matches?.("input, textarea") && event.target.value !== "";
  if (!act || inText || event.key !== "z" || event.shiftKey || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  act();
}
