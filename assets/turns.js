// Messages and replies: loads a conversation, sends, asks again, edits, and tells what became of a message when the
// connection or the model failed. The rule in every failure: nothing that someone wrote is lost, and what the
// server has is never sent twice without being asked.

import * as api from "./api.js";
import { find } from "./conversations.js";
import * as drafts from "./drafts.js";
import { follow, isFollowed } from "./follow.js";
import { words } from "./lang/en.js";
import { address, go } from "./router.js";
import { NEW, chatOf, current, moveNewThread, openId, putChat, threadOf, update, updateThread } from "./store.js";
import { toast } from "./overlay.js";

const w = words.conversation;
const UNDO_MS = 8000;
const TITLE_CHARS = 60;
/** Longer waits are those for a new day or month, not for the next message. */
const MINUTE_S = 60;
/** What a conversation can be given before it exists. */
const CHOICES = ["model", "library", "system_prompt", "temperature", "max_tokens"];

let lastKey = 0;

/** Shows a conversation: what is known of it at once, then what the server has. */
export async function open(id) {
  updateThread(id, { fresh: false, status: threadOf(id).status === "ready" ? "ready" : "loading" });
  try {
    await refresh(id);
  } catch (error) {
    // A conversation that was read before stays readable without a connection.
    if (threadOf(id).status !== "ready") updateThread(id, { status: error.status === 404 ? "missing" : "failed" });
    return;
  }
  const { messages } = threadOf(id);
  const lastSent = messages.findLast(({ role }) => role === "user");
  if (lastSent) drafts.dropIfArrived(id, lastSent.text);
  if (messages.at(-1)?.state === "streaming") await join(id);
}

/** Follows the reply that is being written in `id`, asked for here before or on another device. */
export async function join(id) {
  if (isFollowed(id)) return;
  updateThread(id, { waiting: "asked" });
  await run(id, api.attach(id)).catch(() => updateThread(id, { waiting: "" }));
}

/** Loads the page of messages before those known. Gives what puts them there, so that the page can note its place first. */
export async function loadEarlier(id) {
  const first = threadOf(id).messages.find((message) => message.id !== null);
  const page = await api.messages(id, first.id);
  const older = page.messages.map(keyed);
  return () => updateThread(id, (thread) => ({ messages: [...older, ...thread.messages], earlier: page.earlier }));
}

/** Sends `text` in the conversation `id`, or in a new one, with `files` that have been uploaded. */
export async function send(id, text, files = []) {
  const known = lastId(id);
  const attachments = files.map(({ name, type, size, preview }) => ({
    id: null,
    filename: name,
    content_type: type,
    size,
    preview,
  }));
  const message = local("user", text, attachments);
  const messages = [...threadOf(id).messages, message];
  updateThread(id, { status: "ready", messages, waiting: "asked", live: null, problem: "", unsent: "" });
  drafts.sending(id);
  drafts.setFiles(id, []);
  let target = id;
  try {
    if (id === NEW) target = await create(text);
    const body = { content: text, media_urls: files.map(({ url }) => url) };
    await run(target, api.send(target, body), message);
  } catch (error) {
    await explain(target, text, files, known, message, error);
  }
}

/** Asks for another reply in the place of one, or for one where none came. */
export function regenerate(id, message, model) {
  const { messages } = threadOf(id);
  const at = messages.findIndex(({ key }) => key === message.key);
  return again(
    id,
    message.role === "user" ? messages.slice(0, at + 1) : messages.slice(0, at),
    api.regenerate(message.id, model),
  );
}

/** Goes on where a reply was broken off. */
export const resume = (id, message) => again(id, threadOf(id).messages, api.resume(message.id));

async function again(id, messages, source) {
  updateThread(id, { messages, waiting: "asked", live: null, problem: "" });
  try {
    await run(id, source);
  } catch (error) {
    await refresh(id).catch(() => {});
    updateThread(id, { waiting: "", queued: false, problem: reasonOf(error, w.notAgain) });
  }
}

/** Sends another text in the place of a message, as a branch of its own. */
export async function edit(id, message, text) {
  const { messages } = threadOf(id);
  const known = lastId(id);
  const at = messages.findIndex(({ key }) => key === message.key);
  const edited = local("user", text, message.attachments);
  updateThread(id, { messages: [...messages.slice(0, at), edited], waiting: "asked", live: null, problem: "", unsent: "" });
  try {
    await run(id, api.edit(message.id, text), edited);
  } catch (error) {
    if (await hasArrived(id, text, known)) {
      return updateThread(id, { waiting: "", problem: w.failedReply(error.detail) });
    }
    // What was there before is back, and what was written is in its field again.
    updateThread(id, { messages, waiting: "", queued: false, unsent: reasonOf(error, w.refused) });
    update({ editing: message.key, edited: text });
  }
}

/** Turns to the branch with the message `messageId`. */
export async function turnTo(id, messageId) {
  try {
    await api.setLeaf(id, messageId);
    await refresh(id);
  } catch {
    toast({ text: w.branchFailed });
  }
}

/** Deletes a message and all that came after it, with a few seconds to bring it back. */
export async function remove(id, { id: messageId }) {
  try {
    await api.deleteMessage(messageId);
  } catch (error) {
    // Somebody else was faster: it is gone, as was wanted.
    if (error.status !== 404) return toast({ text: error.detail || w.deleteFailed });
  }
  toast({ text: w.deleted, ms: UNDO_MS, action: { label: words.undo, run: () => putBack(id, messageId) } });
  updateThread(id, { problem: "" });
  await refresh(id).catch(() => {});
}

async function putBack(id, messageId) {
  try {
    await api.restoreMessage(messageId);
    await refresh(id);
  } catch (error) {
    const again = { label: words.tryAgain, run: () => putBack(id, messageId) };
    toast({ text: error.detail ? `${error.detail}.` : w.undoFailed, ms: UNDO_MS, action: again });
  }
}

/** Ends the reply in progress; what has arrived is kept. */
export async function stop(id) {
  try {
    await api.stop(id);
  } catch (error) {
    // It has ended by itself meanwhile.
    if (error.status !== 409) toast({ text: w.stopFailed });
  }
}

/** Follows a reply to its end and brings the thread to what the server has then. */
async function run(id, source, asked) {
  const onStart = (start) => begin(id, start, asked);
  const { ended, problem: reason } = await follow(id, source, { onStart });
  settle(id);
  await refresh(id).catch(() => {});
  // Another reply has begun meanwhile, asked for elsewhere: it is that one's turn to say how it ends.
  if (isFollowed(id)) return;
  // A reply that was begun says itself why it ended. Where there is none, the question stands last and the reason below it.
  const last = threadOf(id).messages.at(-1);
  const isUnanswered = last?.role === "user";
  const failed = ended === "failed" ? w.failedReply(reason) : w.noReply;
  const problem = isUnanswered ? failed : "";
  // After a reply that did not come, or not to its end, what was to be said next is for its writer to decide.
  const queued = threadOf(id).queued && last?.role === "assistant" && ["complete", "stopped"].includes(last.state);
  updateThread(id, { live: null, waiting: "", queued, problem, fresh: openId() !== id });
}

/** The reply has begun: the message that asked for it has an id, and the reply a place. */
function begin(id, { request_message_id: requestId, response_message_id: responseId, model }, asked) {
  if (asked) {
    settle(id);
    updateThread(id, ({ messages }) => ({
      messages: messages.map((message) => (message.key === asked.key ? { ...message, id: requestId } : message)),
    }));
  }
  if (threadOf(id).messages.some((message) => message.id === responseId)) return;
  const reply = { ...local("assistant", "", []), id: responseId, state: "streaming", model };
  updateThread(id, ({ messages }) => ({ messages: [...messages, reply] }));
}

/** Creates the conversation that `text` begins, with what was chosen for it. */
async function create(text) {
  const { choices } = threadOf(NEW);
  let chat = await api.createConversation(titleOf(text) || null);
  const standard = { model: current().settings.default_model };
  const wanted = { ...standard, ...choices };
  const chosen = Object.fromEntries(CHOICES.filter((name) => wanted[name] != null).map((name) => [name, wanted[name]]));
  if (Object.keys(chosen).length > 0) chat = await api.updateConversation(chat.id, chosen);
  moveNewThread(chat.id);
  drafts.moveNew(chat.id, text);
  putChat(chat);
  if (openId() === NEW && current().route.page === "new") go(address(chat.id));
  return chat.id;
}

/** A send failed: finds out whether the message arrived, and says what is kept and what to do. */
async function explain(id, text, files, known, message, error) {
  const arrived = id !== NEW && (await hasArrived(id, text, known));
  if (arrived) {
    settle(id);
    const last = threadOf(id).messages.at(-1);
    // The connection broke, not the model: the reply may still be on its way.
    if (error.status === 0 && last.state === "streaming") return join(id);
    const replied = last.role === "assistant" && last.state === "complete";
    return updateThread(id, { waiting: "", problem: replied ? "" : w.failedReply(error.detail) });
  }
  updateThread(id, ({ messages }) => ({
    messages: messages.filter(({ key }) => key !== message.key),
    waiting: "",
    queued: false,
    unsent: reasonOf(error, w.refused),
  }));
  drafts.giveBack(id, text);
  drafts.setFiles(id, files);
}

async function hasArrived(id, text, known) {
  try {
    await refresh(id);
  } catch {
    return false;
  }
  return threadOf(id).messages.some((one) => one.id > known && one.role === "user" && one.text === text);
}

/** Why a request was refused; `refused` words the server's own reason. */
function reasonOf({ status, detail, retryAfterS }, refused) {
  if (status === 0) return w.unreachable;
  if (status === 413) return w.tooLong;
  if (status === 429 && retryAfterS > MINUTE_S) return w.usedUp(Date.now() + retryAfterS * 1000);
  if (status === 429 && retryAfterS) return w.busy(retryAfterS);
  return refused(detail);
}

/** The message sent from `id` is on the server: its draft goes, and its conversation rises in the list. */
function settle(id) {
  drafts.arrived(id);
  const chat = chatOf(id);
  if (chat) putChat({ ...chat, updated_at: new Date().toISOString() });
}

/** How often conversations were read, and by id when the reading began that is shown. */
let readings = 0;
const shownSince = new Map();

/** Brings what is known of a conversation to what the server has. */
export async function refresh(id) {
  const reading = ++readings;
  const page = await api.messages(id);
  // An answer that was overtaken by a later one says what was before it.
  if (shownSince.get(id) > reading) return;
  shownSince.set(id, reading);
  // Of a reply that has begun since it was asked for, the page knows nothing either.
  const begun = isFollowed(id) ? (page.messages.at(-1)?.id ?? 0) : Infinity;
  updateThread(id, (thread) => {
    const later = thread.messages.filter((message) => message.id > begun);
    const { messages, earlier } = merge(thread, page);
    return { status: "ready", messages: [...messages, ...later], earlier };
  });
}

/** The newest page put over what was known: messages keep their `key`, and those sent here get their id. */
function merge(thread, page) {
  const known = new Map(thread.messages.filter(({ id }) => id !== null).map((message) => [message.id, message]));
  const unnamed = thread.messages.filter(({ id }) => id === null);
  const newest = page.messages.map((message) => {
    const same = known.get(message.id) ?? take(unnamed, message);
    if (!same) return keyed(message);
    const now = { ...message, key: same.key };
    // What has not changed stays the same object, and is not drawn again.
    return JSON.stringify(now) === JSON.stringify(same) ? same : now;
  });
  // What stands before the page is known as far as each message before it is: on another branch others stand there.
  const older = [];
  const before = ({ parent_id: parent } = {}) => known.get(parent);
  for (let message = before(page.messages[0]); message; message = before(message)) older.unshift(message);
  const earlier = older.length > 0 ? older[0].parent_id != null : page.earlier;
  return { messages: [...older, ...newest, ...unnamed], earlier };
}

/** The message sent here that the server now names, if it is one. */
function take(unnamed, { role, text }) {
  const at = unnamed.findIndex((one) => one.role === role && one.text === text);
  return at < 0 ? undefined : unnamed.splice(at, 1)[0];
}

/** What another device did in the conversation `id`, or what happened to one that is not open. */
export async function happened(id, isReply) {
  if (isFollowed(id)) return;
  if (!chatOf(id)) await find(id);
  const chat = chatOf(id);
  if (chat) putChat({ ...chat, updated_at: new Date().toISOString() });
  if (openId() === id) await open(id);
  else if (isReply) updateThread(id, { fresh: true });
}

/** The same for what changed without a new message: another branch is shown, or messages were deleted or brought back. */
export async function changed(id) {
  if (!isFollowed(id) && openId() === id) await open(id);
}

export const startEdit = (key) => update({ editing: key, edited: "" });
export const endEdit = () => update({ editing: null, edited: "" });

const keyed = (message) => ({ ...message, key: `id-${message.id}` });
const lastId = (id) => threadOf(id).messages.reduce((last, message) => Math.max(last, message.id ?? 0), 0);

function local(role, text, attachments) {
  return {
    key: `local-${++lastKey}`,
    id: null,
    role,
    text,
    attachments,
    created_at: new Date().toISOString(),
    state: "complete",
  };
}

/** A conversation is called by the first line of its first message, without the marks of Markdown. */
function titleOf(text) {
  const line = text.split("\n").find((one) => /[\p{L}\p{N}]/u.test(one)) ?? text;
  const chars = [
    ...line
      .replace(/[#*_`>|~]+/g, " ")
      .replace(/\s+/g, " ")
      .trim(),
  ];
  return chars.length <= TITLE_CHARS
    ? chars.join("")
    : `${chars
        .slice(0, TITLE_CHARS - 1)
        .join("")
        .trimEnd()}…`;
}
