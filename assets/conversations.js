// What can be done with the list of conversations: load it, rename, pin, delete and bring back. Each change
// shows at once and is taken back, with a word, when the server does not take it.

import * as api from "./api.js";
import { words } from "./lang/en.js";
import { HOME, address, go } from "./router.js";
import { NEW, chatOf, current, dropChat, inOrder, openId, putChat, update, updateList, updateThread } from "./store.js";
import { toast } from "./overlay.js";

const UNDO_MS = 8000;

/** Loads the newest page of the list. */
export const load = () => loadPage("loading", 0);

/** Begins with a page that is there already. */
export const begin = ({ chats, total }) => updateList({ status: "ready", chats, total });

/** Loads the page after what is there, if there is one and it is not on its way. */
export async function loadMore() {
  const { status, chats, total, strays } = current().list;
  if (status === "loading" || status === "more" || chats.length >= total) return;
  await loadPage("more", chats.length - strays.length);
}

async function loadPage(status, offset) {
  updateList({ status });
  try {
    const { tag } = current();
    const { chats, total } = await api.conversations(offset, tag);
    // Another tag was chosen meanwhile: its own page is on its way.
    if (tag !== current().tag) return;
    // While a later page was on its way the list may have moved by a row: whoever is known stays as known. The first page
    // is also how the list is brought up to date.
    const { list } = current();
    const known = offset === 0 ? list.chats.filter(({ id }) => chats.every((chat) => chat.id !== id)) : list.chats;
    const ids = new Set(known.map(({ id }) => id));
    const added = chats.filter(({ id }) => !ids.has(id));
    const strays = list.strays.filter((id) => chats.every((chat) => chat.id !== id));
    // An empty page ends the list, whatever the total says; without this, scrolling would ask again and again.
    const end = chats.length === 0;
    updateList({
      status: "ready",
      chats: inOrder([...known, ...added]),
      total: end ? list.chats.length : total,
      strays,
    });
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
  return change(chat, { is_pinned: !chat.is_pinned }, words.changeFailed);
}

/** Archived conversations leave the days and stay findable at the end of the list. */
export function archive(id) {
  const chat = chatOf(id);
  const undo = { label: words.undo, run: () => archive(id) };
  if (!chat.is_archived) toast({ text: words.archived, ms: UNDO_MS, action: undo });
  return change(chat, { is_archived: !chat.is_archived }, words.changeFailed);
}

/** Changes what a conversation's replies are made with; before it exists, that is kept until it does. */
export function choose(id, values) {
  if (id === NEW) return updateThread(NEW, ({ choices }) => ({ choices: { ...choices, ...values } }));
  return change(chatOf(id), values, words.changeFailed);
}

export async function setTags(id, tags) {
  await change(chatOf(id), { tags }, words.changeFailed);
  await loadTags();
}

export async function loadTags() {
  try {
    update({ tags: await api.tags() });
  } catch {
    // The list works without them.
  }
}

/** Lists only the conversations with `tag`, or all of them again. */
export function filter(tag) {
  update({ tag });
  updateList({ chats: [], total: 0, strays: [] });
  return load();
}

async function change(chat, values, failed) {
  putChat({ ...chat, ...values });
  try {
    const changed = await api.updateConversation(chat.id, values);
    // The server may have spelled a value in its own way.
    for (const name of Object.keys(values)) if (name in changed) values[name] = changed[name];
    putChat({ ...chatOf(chat.id), ...values });
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
