// What comes up over the page for a moment: a menu under a button, one short message at the foot of the page, and the
// field that the dialogs that search have in common.

import { el, icon, iconButton, place } from "./dom.js";
import { words } from "./lang/en.js";

const GAP_PX = 4;
const EDGE_PX = 8;

/** Opens under `button` a menu of `{ icon, label, run, danger? }`, and gives the focus back when it closes. */
export function openMenu(button, entries) {
  const close = () => menu.hidePopover();
  const items = entries.map((entry) =>
    el(
      "button",
      {
        type: "button",
        role: "menuitem",
        tabindex: "-1",
        class: entry.danger ? "menu-item danger" : "menu-item",
        onclick() {
          close();
          entry.run();
        },
      },
      icon(entry.icon),
      entry.label,
    ),
  );
  const menu = el(
    "div",
    {
      class: "menu",
      role: "menu",
      popover: "auto",
      "aria-label": button.getAttribute("aria-label"),
      onkeydown: (event) => move(event, items, close),
    },
    ...items,
  );
  menu.addEventListener("toggle", ({ newState }) => {
    if (newState === "open") return;
    menu.remove();
    button.removeAttribute("aria-expanded");
  });
  button.setAttribute("aria-expanded", "true");
  // In the part of the page it belongs to, where screen readers look for it; it is drawn above all parts.
  button.closest("aside, main, dialog").append(menu);
  menu.showPopover();
  stand(menu, button);
  items[0].focus();
}

/** Puts the menu below the button, or above where there is no room, and inside the window. */
function stand(menu, button) {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = at.bottom + GAP_PX + height <= innerHeight - EDGE_PX;
  const left = Math.min(at.left, innerWidth - width - EDGE_PX);
  menu.style.top = `${below ? at.bottom + GAP_PX : at.top - GAP_PX - height}px`;
  menu.style.left = `${Math.max(left, EDGE_PX)}px`;
}

function move(event, items, close) {
  const at = items.indexOf(document.activeElement);
  const to = {
    ArrowDown: () => items[(at + 1) % items.length].focus(),
    ArrowUp: () => items.at(at - 1).focus(),
    Home: () => items[0].focus(),
    End: () => items.at(-1).focus(),
    Tab: close,
  }[event.key];
  if (!to) return;
  event.preventDefault();
  to();
}

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

/** A field that searches while it is typed in; the list with this id shows what was found. */
export function searchField(label, listId) {
  return el("input", {
    class: "search",
    type: "text",
    inputmode: "search",
    placeholder: label,
    "aria-label": label,
    role: "combobox",
    "aria-expanded": "true",
    "aria-controls": listId,
    autocomplete: "off",
    autofocus: true,
  });
}
