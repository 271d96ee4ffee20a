// A small menu under a button. It is a popover: the browser closes it on Escape or a press elsewhere.

import { el, icon } from "./dom.js";

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
    { class: "menu", role: "menu", popover: "auto", "aria-label": button.getAttribute("aria-label"), onkeydown: (event) => move(event, items, close) },
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
