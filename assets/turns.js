// Messages and replies: loads a conversation, sends, waits, and tells what became of a message when the
// connection or the model failed. The rule in every failure: nothing that someone wrote is lost, and what the
// server has is never sent twice without being asked.

import * as api from "./api.js";
import * as drafts from "./drafts.js";
import { words } from "./lang/en.js";
import { address, go } from "./router.js";
import { NEW, chatOf, current, emptyThread, moveNewThread, openId, putChat, updateThread } from "./store.js";

const POLL_EVERY_MS = 1500;
const POLL_AT_MOST_MS = 120_000;
/** A message older than this has no reply on its way: models time out long before. */
const REPLY_AGE_MAX_MS = 600_000;
const TITLE_CHARS = 60;

let lastKey = 0;
/** Counts polls and sends: a poll ends when it is not the latest. */
let lastPoll = 0;

const threadOf = (id) => current().threads[id] ?? emptyThread;

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
  const { messages, waiting, problem } = threadOf(id);
  const lastSent = messages.findLast(({ role }) => role === "user");
  if (lastSent) drafts.dropIfArrived(id, lastSent.content);
  if (awaitsReply(messages.at(-1)) && waiting !== "asked" && !problem) await poll(id, messages.at(-1));
}

/** Loads the page of messages before those known. */
export async function loadEarlier(id) {
  const first = threadOf(id).messages.find((message) => message.id !== null);
  const page = await api.messages(id, first.id);
  const older = page.messages.map(keyed);
  updateThread(id, (thread) => ({ messages: [...older, ...thread.messages], earlier: page.earlier }));
}

/** Sends `text` in the conversation `id`, or in a new one. */
export async function send(id, text) {
  lastPoll++;
  const known = lastId(id);
  const message = local("user", text);
  const messages = [...threadOf(id).messages, message];
  updateThread(id, { status: "ready", messages, waiting: "asked", problem: "", unsent: "" });
  drafts.sending(id);
  let target = id;
  try {
    if (id === NEW) target = await create(text);
    const { reply } = await api.send(target, text);
    receive(target, reply);
  } catch (error) {
    await explain(target, text, known, message, error);
  }
}

/** Sends the last message once more, after it got no reply. */
export function sendAgain(id) {
  const last = threadOf(id).messages.findLast(({ role }) => role === "user");
  return send(id, last.content);
}

/** Creates the conversation that `text` begins, so that it has an address while its first reply is awaited. */
async function create(text) {
  const chat = await api.createConversation(titleOf(text));
  moveNewThread(chat.id);
  drafts.moveNew(chat.id, text);
  putChat(chat);
  if (openId() === NEW) go(address(chat.id));
  return chat.id;
}

function receive(id, reply) {
  // Opening the conversation meanwhile may have shown the beginning of this reply.
  const begun = threadOf(id).messages.at(-1);
  const messages =
    begun?.role === "assistant"
      ? threadOf(id).messages.with(-1, { ...begun, content: reply, state: "complete" })
      : [...threadOf(id).messages, local("assistant", reply)];
  updateThread(id, { messages, waiting: "", fresh: openId() !== id });
  settle(id);
  // The reply is on the screen; this only fetches the ids and times that the server gave.
  refresh(id).catch(() => {});
}

/** A send failed: finds out whether the message arrived, and says what is kept and what to do. */
async function explain(id, text, known, message, error) {
  const arrived = id !== NEW && (await hasArrived(id, text, known));
  if (arrived) {
    settle(id);
    const last = threadOf(id).messages.at(-1);
    // The connection broke, not the model: the reply may still be on its way.
    if (error.status === 0 && awaitsReply(last)) return poll(id, last);
    const replied = last.role === "assistant" && last.state === "complete";
    return updateThread(id, { waiting: "", problem: replied ? "" : words.conversation.failedReply(error.detail) });
  }
  updateThread(id, ({ messages }) => ({
    messages: messages.filter(({ key }) => key !== message.key),
    waiting: "",
    unsent: reasonOf(error),
  }));
  drafts.giveBack(id, text);
}

async function hasArrived(id, text, known) {
  try {
    await refresh(id);
  } catch {
    return false;
  }
  return threadOf(id).messages.some((one) => one.id > known && one.role === "user" && one.content === text);
}

function reasonOf({ status, detail, retryAfterS }) {
  if (status === 0) return words.composer.unreachable;
  if (status === 429 && retryAfterS) return words.composer.busy(retryAfterS);
  return words.composer.refused(detail);
}

/** Asks for the reply to `last` while its conversation is open, for as long as one may reasonably come. */
async function poll(id, last) {
  const run = ++lastPoll;
  const until = Math.min(Date.now() + POLL_AT_MOST_MS, Date.parse(last.created_at) + REPLY_AGE_MAX_MS);
  if (Date.now() < until) updateThread(id, { waiting: "polled" });
  while (Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, POLL_EVERY_MS));
    if (openId() !== id) return updateThread(id, { waiting: "" });
    // Opened again, it is polled anew; and a message sent here waits by itself.
    if (run !== lastPoll) return;
    await refresh(id).catch(() => {});
    if (!awaitsReply(threadOf(id).messages.at(-1))) return updateThread(id, { waiting: "" });
  }
  updateThread(id, { waiting: "", problem: words.conversation.noReply });
}

const awaitsReply = (last) => last !== undefined && (last.role === "user" || last.state === "streaming");

/** The message sent from `id` is on the server: its draft goes, and its conversation rises in the list. */
function settle(id) {
  drafts.arrived(id);
  const chat = chatOf(id);
  if (chat) putChat({ ...chat, updated_at: new Date().toISOString() });
}

/** Brings what is known of a conversation to what the server has. */
async function refresh(id) {
  const page = await api.messages(id);
  updateThread(id, (thread) => ({ status: "ready", ...merge(thread, page) }));
}

/** The newest page put over what was known: messages keep their `key`, and those sent here get their id. */
function merge(thread, page) {
  const known = new Map(thread.messages.filter(({ id }) => id !== null).map((message) => [message.id, message]));
  const unnamed = thread.messages.filter(({ id }) => id === null);
  const newest = page.messages.map((message) => {
    const same = known.get(message.id) ?? take(unnamed, message);
    return same ? { ...message, key: same.key } : keyed(message);
  });
  // When the page does not touch what was known, messages are missing in between: then the page is all there is.
  const touches = !page.earlier || page.messages.some(({ id }) => known.has(id));
  const first = page.messages[0]?.id ?? Infinity;
  const older = touches ? [...known.values()].filter(({ id }) => id < first) : [];
  return { messages: [...older, ...newest, ...unnamed], earlier: older.length > 0 ? thread.earlier : page.earlier };
}

/** The message sent or received here that the server now names, if it is one. */
function take(unnamed, { role, content }) {
  const at = unnamed.findIndex((one) => one.role === role && (role === "assistant" || one.content === content));
  return at < 0 ? undefined : unnamed.splice(at, 1)[0];
}

const keyed = (message) => ({ ...message, key: `id-${message.id}` });
const lastId = (id) => threadOf(id).messages.reduce((last, message) => Math.max(last, message.id ?? 0), 0);

function local(role, content) {
  return { key: `local-${++lastKey}`, id: null, role, content, created_at: new Date().toISOString(), state: "complete" };
}

/** A conversation is called by the beginning of its first message. */
function titleOf(text) {
  const chars = [...text.replace(/\s+/g, " ").trim()];
  return chars.length <= TITLE_CHARS ? chars.join("") : `${chars.slice(0, TITLE_CHARS - 1).join("").trimEnd()}…`;
}
