// What is written but not sent, by conversation. It outlives a reload, a lost connection and the end of a
// session, and belongs to one user; signing out removes it from this browser.

import { NEW, current, update } from "./store.js";

/** One list for all who have none, so that watchers see no change. */
const NO_FILES = [];

let prefix = "";
/** Conversations whose draft came from before the page was loaded, and was not touched since. */
let restored = new Set();

/** Reads what `user` left unsent in this browser. */
export function load(user) {
  prefix = `fireside.draft.${user.id}.`;
  restored = new Set(keys().map((key) => key.slice(prefix.length)));
  update({ drafts: Object.fromEntries(keys().map((key) => [key.slice(prefix.length), localStorage.getItem(key)])) });
}

export const draftOf = (id, state = current()) => state.drafts[id] ?? "";

export function write(id, text) {
  restored.delete(id);
  show(id, text);
  keep(id, text);
}

/** The composer is empty again, but the text is kept in the browser until it is known to have arrived. */
export const sending = (id) => show(id, "");

/** The text sent from `id` has arrived: what is kept from now on is what the composer shows. */
export const arrived = (id) => keep(id, draftOf(id));

/** The text sent from `id` has not arrived and goes back into the composer, before anything written since. */
export function giveBack(id, text) {
  write(id, [text, draftOf(id)].filter((part) => part.trim() !== "").join("\n\n"));
}

/** The conversation begun as NEW has become `id`, and what is on its way from it is now on its way from `id`. */
export function moveNew(id, text) {
  write(id, draftOf(NEW));
  write(NEW, "");
  setFiles(id, filesOf(NEW));
  setFiles(NEW, NO_FILES);
  if (draftOf(id) === "") keep(id, text);
}

/** The files in the composer of `id`. They are kept as long as the page: a reload cannot bring them back. */
export const filesOf = (id, state = current()) => state.files[id] ?? NO_FILES;
export const setFiles = (id, files) => update({ files: { ...current().files, [id]: files } });

/**
 * After a reload: a text that turns out to have arrived is no draft any more. What is written since is one, also when it
 * says the same once more.
 */
export function dropIfArrived(id, text) {
  if (restored.has(id) && draftOf(id).trim() === text) write(id, "");
}

export function removeAll() {
  for (const key of keys()) localStorage.removeItem(key);
}

function show(id, text) {
  const { [id]: _, ...others } = current().drafts;
  update({ drafts: text === "" ? others : { ...others, [id]: text } });
}

function keep(id, text) {
  try {
    if (text === "") localStorage.removeItem(prefix + id);
    else localStorage.setItem(prefix + id, text);
  } catch {
    // Storage is blocked or full: the draft lives as long as the page.
  }
}

function keys() {
  try {
    return Object.keys(localStorage).filter((key) => key.startsWith(prefix));
  } catch {
    return [];
  }
}
