// Keys that work anywhere on the signed-in page, and the list of all keys.

import { el, iconButton } from "./dom.js";
import { words } from "./lang/en.js";
import { HOME, go } from "./router.js";
import { closeDrawer, toggleSidebar } from "./sidebar.js";

const isMac = navigator.platform.startsWith("Mac");
const command = isMac ? "⌘" : "Ctrl";
const w = words.shortcuts;

const LIST = [
  [w.send, "Enter"],
  [w.newLine, "Shift", "Enter"],
  [w.newConversation, command, "Shift", "O"],
  [w.sidebar, command, "B"],
  [w.rename, "F2"],
  [w.delete, "Delete"],
  [w.undo, command, "Z"],
  [w.escape, "Escape"],
  [w.show, command, "/"],
];

export function listenForKeys(signal) {
  document.addEventListener(
    "keydown",
    (event) => {
      // A menu or dialog takes the keys while it is open.
      if (document.querySelector(":popover-open, dialog[open]")) return;
      if (event.key === "Escape") return void closeDrawer();
      if (!(isMac ? event.metaKey : event.ctrlKey) || event.altKey) return;
      const act = {
        "shift+o": newConversation,
        b: toggleSidebar,
        "/": showShortcuts,
        // Where the slash is on a digit's key.
        "shift+/": showShortcuts,
      }[(event.shiftKey ? "shift+" : "") + event.key.toLowerCase()];
      if (!act) return;
      event.preventDefault();
      act();
    },
    { signal },
  );
}

function newConversation() {
  closeDrawer();
  go(HOME);
  document.querySelector(".composer textarea").focus();
}

export function showShortcuts() {
  const close = iconButton("close", w.close, { onclick: () => dialog.close() });
  const rows = LIST.map(([label, ...keys]) => [el("dt", null, label), el("dd", null, ...keys.map((key) => el("kbd", null, key)))]);
  const dialog = el(
    "dialog",
    { class: "dialog", "aria-labelledby": "shortcuts-heading", closedby: "any", onclose: () => dialog.remove() },
    el("header", null, el("h2", { id: "shortcuts-heading" }, w.heading), close),
    el("dl", null, ...rows.flat()),
  );
  document.body.append(dialog);
  dialog.showModal();
}
