// How the page looks in this browser, and its keys.

import { applyLook, setLook } from "./app.js";
import { el } from "./dom.js";
import { choices } from "./fields.js";
import { words } from "./lang/en.js";
import { part } from "./pages.js";
import { showShortcuts } from "./shortcuts.js";

const w = words.settings;

export function appearance() {
  const look = applyLook();
  const set = (name, standard) => (value) => {
    if (value === standard) delete look[name];
    else look[name] = value;
    setLook(look);
  };
  return [
    part(w.theme, "", choices(w.theme, "theme", w.themes, look.theme ?? "system", set("theme", "system"))),
    part(w.size, "", choices(w.size, "size", w.sizes, look.size ?? "normal", set("size", "normal"))),
    part(
      w.shortcuts,
      w.shortcutsLead,
      el("button", { type: "button", class: "button quiet", onclick: showShortcuts }, words.shortcuts.heading),
    ),
  ];
}
