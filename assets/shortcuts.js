// Keys that work anywhere on the signed-in page, and the list of all keys.

import { el, iconButton } from "./dom.js";
import { words } from "./lang/en.js";
import { toast } from "./overlay.js";
import { HOME, go, pageAddress } from "./router.js";
import { closeDrawer, toggleSidebar } from "./sidebar.js";
import { current, isChat, openId, openThread } from "./store.js";
import { stop } from "./turns.js";

const isMac = navigator.platform.startsWith("Mac");
const command = isMac ? "⌘" : "Ctrl";
const w = words.shortcuts;

const LIST = [
  [w.palette, command, "K"],
  [w.newConversation, command, "Shift", "O"],
  [w.sidebar, command, "B"],
  [w.settings, command, ","],
  [w.send, "Enter"],
  [w.newLine, "Shift", "Enter"],
  [w.edit, "↑"],
  [w.write, "/"],
  [w.rename, "F2"],
  [w.delete, "Delete"],
  [w.undo, command, "Z"],
  [w.escape, "Escape"],
  [w.show, "?"],
];

// On a touch keyboard Enter is the only way to a new line; the button sends.
const enterSends = !matchMedia("(hover: none) and (pointer: coarse)").matches;

/** While an input method composes, Enter picks a word; Safari tells so only by the key code. */
export const composes = (event) => event.isComposing || event.keyCode === 229;

/** Whether a key sends the text it is pressed in: Enter, or Ctrl or Cmd with it where Enter alone starts a new line. */
export const sends = (event) =>
  event.key === "Enter" && !event.shiftKey && (enterSends || event.ctrlKey || event.metaKey) && !composes(event);

let signOut = () => {};

/** Listens until `signal` aborts; `onSignOut` signs out. */
export function listenForKeys(signal, onSignOut) {
  signOut = onSignOut;
  document.addEventListener(
    "keydown",
    (event) => {
      // A menu or dialog takes the keys while it is open.
      if (document.querySelector(":popover-open, dialog[open]")) return;
      const act = actFor(event);
      if (!act || act() === false) return;
      event.preventDefault();
    },
    { signal },
  );
}

function actFor(event) {
  if (event.key === "Escape") return escape;
  if (isMac ? event.metaKey : event.ctrlKey) {
    if (event.altKey) return null;
    const key = (event.shiftKey ? "shift+" : "") + event.key.toLowerCase();
    return {
      k: showPalette,
      "shift+o": newConversation,
      b: toggleSidebar,
      ",": () => go(pageAddress("settings")),
      "/": showShortcuts,
    }[key];
  }
  const inText = event.target.matches?.("input:not([type=radio]), textarea, select, [contenteditable]");
  if (inText || event.altKey) return null;
  return { "?": showShortcuts, "/": () => isChat() && document.querySelector("#message").focus() }[event.key];
}

/** Closes the drawer, or else stops the reply that is being written. */
function escape() {
  if (closeDrawer()) return true;
  if (!isChat(current()) || openThread().waiting === "") return false;
  stop(openId());
  return true;
}

function newConversation() {
  closeDrawer();
  go(HOME);
  // Once the drawer has let go of the focus.
  queueMicrotask(() => document.querySelector("#message").focus());
}

export async function showPalette() {
  try {
    const { openPalette } = await import("./palette.js");
    openPalette({ newConversation, showShortcuts, signOut });
  } catch (error) {
    console.error(error);
    toast({ text: words.palette.failed });
  }
}

export function showShortcuts() {
  const close = iconButton("close", words.close, { onclick: () => dialog.close() });
  const rows = LIST.map(([label, ...keys]) => [
    el("dt", null, label),
    el("dd", null, ...keys.map((key) => el("kbd", null, key))),
  ]);
  const dialog = el(
    "dialog",
    { class: "dialog", "aria-labelledby": "shortcuts-heading", closedby: "any", onclose: () => dialog.remove() },
    el("header", null, el("h2", { id: "shortcuts-heading" }, w.heading), close),
    el("dl", null, ...rows.flat()),
  );
  document.body.append(dialog);
  dialog.showModal();
}
