// What can be done with the list of conversations: load it, rename, pin, delete and bring back. Each change
// shows at once and is taken back, with a word, when the server does not take it.

import * as api from "./api.js";
import { words } from "./lang/en.js";
import { HOME, address, go } from "./router.js";
import { chatOf, current, dropChat, inOrder, openId, putChat, update, updateList } from "./store.js";
import { toast } from "./toast.js";

const UNDO_MS = 8000;

/** Loads the newest page of the list. */
export const load = () => loadPage("loading", 0);

/** Loads the page after what is there, if there is one and it is not on its way. */
export async function loadMore() {
  const { status, chats, total, strays } = current().list;
  if (status === "loading" || status === "more" || chats.length >= total) return;
  await loadPage("more", chats.length - strays.length);
}

async function loadPage(status, offset) {
  updateList({ status });
  try {
    const { chats, total } = await api.conversations(offset);
    // While a page was on its way the list may have moved by a row: whoever is known stays as known.
    const { list } = current();
    const known = new Set(list.chats.map(({ id }) => id));
    const added = chats.filter(({ id }) => !known.has(id));
    const strays = list.strays.filter((id) => chats.every((chat) => chat.id !== id));
    // An empty page ends the list, whatever the total says; without this, scrolling would ask again and again.
    const end = chats.length === 0;
    updateList({ status: "ready", chats: inOrder([...list.chats, ...added]), total: end ? list.chats.length : total, strays });
  } catch {
    updateList({ status: "failed" });
  }
}

/** Makes sure that an open conversation is in the list, however old it is. */
export async function find(id) {
  if (chatOf(id)) return;
  try {
    const chat = await api.conversation(id);
    if (chatOf(id)) return;
    const { chats, strays } = current().list;
    // The total counts it already: this only lists it early.
    updateList({ chats: inOrder([...chats, chat]), strays: [...strays, id] });
  } catch {
    // Its messages are asked for at the same time, and say what is wrong.
  }
}

export function rename(id, title) {
  const chat = chatOf(id);
  if (title !== "" && title !== chat.title) return change(chat, { title }, words.renameFailed);
}

export function pin(id) {
  const chat = chatOf(id);
  return change(chat, { is_pinned: !chat.is_pinned }, words.pinFailed);
}

async function change(chat, values, failed) {
  putChat({ ...chat, ...values });
  try {
    await api.updateConversation(chat.id, values);
  } catch {
    putChat({ ...chatOf(chat.id), ...Object.fromEntries(Object.keys(values).map((key) => [key, chat[key]])) });
    toast({ text: failed });
  }
}

/** Deletes a conversation, with a few seconds to bring it back. */
export async function remove(id) {
  const chat = chatOf(id);
  const wasOpen = openId() === id;
  const comeBack = () => {
    putChat(chat);
    if (wasOpen) go(address(id));
  };
  dropChat(id);
  if (wasOpen) go(HOME);
  const deleted = api.deleteConversation(id);
  toast({ text: words.deleted, ms: UNDO_MS, action: { label: words.undo, run: () => undo(id, deleted, comeBack) } });
  try {
    await deleted;
  } catch {
    comeBack();
    toast({ text: words.deleteFailed });
  }
}

async function undo(id, deleted, comeBack) {
  try {
    await deleted;
    await api.restoreConversation(id);
    comeBack();
  } catch {
    const again = { label: words.tryAgain, run: () => undo(id, deleted, comeBack) };
    toast({ text: words.undoFailed, ms: UNDO_MS, action: again });
  }
}

export const startRename = (id, where) => update({ renaming: { id, where } });
export const endRename = () => update({ renaming: null });
