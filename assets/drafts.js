// What is written but not sent, by conversation, and the files that have been uploaded for it. It outlives a reload, a lost
// connection and the end of a session, and belongs to one user; signing out removes it from this browser.

import { mediaUrl } from "./api.js";
import { NEW, current, update } from "./store.js";

/** One list for all who have none, so that watchers see no change. */
const NO_FILES = [];

let prefix = "";
let filesPrefix = "";
/** Conversations whose draft came from before the page was loaded, and was not touched since. */
let restored = new Set();

/** Reads what `user` left unsent in this browser. */
export function load(user) {
  prefix = `fireside.draft.${user.id}.`;
  filesPrefix = `fireside.files.${user.id}.`;
  const drafts = Object.fromEntries(kept(prefix));
  restored = new Set(Object.keys(drafts));
  update({ drafts, files: Object.fromEntries(kept(filesPrefix).map(([id, text]) => [id, readFiles(text)])) });
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

/** The files in the composer of `id`. Those that are on the server outlive a reload; the others must be chosen again. */
export const filesOf = (id, state = current()) => state.files[id] ?? NO_FILES;
export function setFiles(id, files) {
  update({ files: { ...current().files, [id]: files } });
  const uploaded = files.filter(({ url }) => url).map(({ name, size, type, url }) => ({ name, size, type, url }));
  put(filesPrefix + id, uploaded.length > 0 ? JSON.stringify(uploaded) : "");
}

function readFiles(text) {
  try {
    return JSON.parse(text).map((file) => ({
      ...file,
      key: file.url,
      preview: file.type.startsWith("image/") ? mediaUrl(file.url) : null,
      progress: 1,
      problem: null,
    }));
  } catch {
    // Another version's words, or somebody else's.
    return NO_FILES;
  }
}

/**
 * After a reload: a text that turns out to have arrived is no draft any more. What is written since is one, also when it
 * says the same once more.
 */
export function dropIfArrived(id, text) {
  if (restored.has(id) && draftOf(id).trim() === text) write(id, "");
}

export function removeAll() {
  for (const start of [prefix, filesPrefix]) for (const [id] of kept(start)) localStorage.removeItem(start + id);
}

function show(id, text) {
  const { [id]: _, ...others } = current().drafts;
  update({ drafts: text === "" ? others : { ...others, [id]: text } });
}

const keep = (id, text) => put(prefix + id, text);

function put(key, text) {
  try {
    if (text === "") localStorage.removeItem(key);
    else localStorage.setItem(key, text);
  } catch {
    // Storage is blocked or full: the draft lives as long as the page.
  }
}

/** What is kept under keys that begin with `start`, as pairs of the rest and the text. */
function kept(start) {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(start));
    return keys.map((key) => [key.slice(start.length), localStorage.getItem(key)]);
  } catch {
    return [];
  }
}
