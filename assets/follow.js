// Follows a reply while it is written, from its first event to its last, through lost connections. It turns the server's
// events into the state of a thread and knows nothing of how a reply was asked for.

import * as api from "./api.js";
import { words } from "./lang/en.js";
import { openId, updateThread } from "./store.js";

const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 15_000;
/** How often a hidden page is drawn, which is given no frames. */
const HIDDEN_MS = 250;

/** By conversation id, the follower of its reply: a later one takes over, and the earlier one falls silent. */
const followers = new Map();

export const isFollowed = (id) => followers.has(id);

/**
 * Shows the reply whose events `source` gives, or will give. `onStart` runs with the server's word on which messages it is
 * about. Ends with "done", "failed" (`problem` says why) or "gone": there was no reply to follow. What is thrown is what
 * the first request failed with.
 */
export async function follow(id, source, { onStart = () => {} } = {}) {
  const me = Symbol(id);
  followers.set(id, me);
  const progress = { reply: null, lastId: null, ended: null, problem: "" };
  const isMine = () => followers.get(id) === me;
  try {
    let begun = await readAll(id, await source, progress, onStart, isMine);
    for (let wait = RETRY_FIRST_MS; isMine() && !progress.ended && begun; wait = Math.min(wait * 2, RETRY_MOST_MS)) {
      await pause(wait);
      begun = await attachAgain(id, progress, onStart, isMine);
    }
  } finally {
    // What was shown stays, and is awaited, until the stored messages take its place.
    if (isMine()) followers.delete(id);
  }
  return { ended: progress.ended ?? "gone", problem: progress.problem };
}

/** True while there is, or may be, a reply to go on with. */
async function attachAgain(id, progress, onStart, isMine) {
  try {
    return await readAll(id, await api.attach(id, progress.lastId), progress, onStart, isMine);
  } catch (error) {
    // The server is away, and comes back; whatever else it says means that there is nothing to follow.
    return error.status === 0 || error.status >= 502;
  }
}

/** Reads one connection to its end. True if a reply was begun and the connection broke before it was whole. */
async function readAll(id, events, progress, onStart, isMine) {
  const draw = drawing(id, progress);
  try {
    for await (const event of events) {
      if (!isMine()) return false;
      take(id, event, progress, onStart);
      draw();
    }
  } catch (error) {
    if (error.status !== 0) throw error;
    return true;
  } finally {
    draw.end(isMine());
  }
  return progress.reply !== null && !progress.ended;
}

function take(id, { type, id: eventId, data }, progress, onStart) {
  if (eventId) progress.lastId = eventId;
  const { reply } = progress;
  if (type === "start") {
    // After a lost connection the start is told again, and what is known goes on.
    if (reply?.id === data.response_message_id) return;
    progress.reply = { id: data.response_message_id, text: "", reasoning: "", blocks: [], tools: [] };
    onStart(data);
    updateThread(id, { waiting: "live" });
  } else if (type === "error") {
    progress.ended = "failed";
    progress.problem = data.detail || words.conversation.noAnswer;
  } else if (type === "done") {
    progress.ended = "done";
  } else if (reply) {
    progress.reply = grown(reply, type, data);
  }
}

function grown(reply, type, data) {
  if (type === "delta" && data.reasoning) return { ...reply, reasoning: reply.reasoning + data.reasoning };
  if (type === "delta") return { ...reply, text: reply.text + (data.text ?? "") };
  if (type === "block") return { ...reply, blocks: withBlock(reply.blocks, data) };
  if (type === "tool") return { ...reply, tools: withTool(reply.tools, data) };
  return reply;
}

function withBlock(blocks, { index, html }) {
  const changed = blocks.slice();
  changed[index] = html;
  return changed;
}

/** A call is told when it begins and again with its result. */
function withTool(tools, tool) {
  const last = tools.at(-1);
  const isSame = last && last.name === tool.name && last.result === undefined && tool.result !== undefined;
  return isSame ? tools.with(-1, { ...last, ...tool }) : [...tools, tool];
}

/** Puts what has been read into the state, once a frame however many events come. */
function drawing(id, progress) {
  let asked = false;
  let ended = false;
  const now = () => {
    asked = false;
    // What was asked for before the end must not bring back what has made room for the stored message since.
    if (!ended && progress.reply) updateThread(id, { live: progress.reply });
  };
  const draw = () => {
    if (asked) return;
    asked = true;
    // The fallback is for pages that are hidden while a reply comes.
    if (document.hidden || openId() !== id) setTimeout(now, HIDDEN_MS);
    else requestAnimationFrame(now);
  };
  const end = (isMine) => {
    if (isMine) now();
    ended = true;
  };
  return Object.assign(draw, { end });
}

/** Waits, but no longer than until the browser believes to be connected again. */
const pause = (ms) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    addEventListener("online", () => (clearTimeout(timer), resolve()), { once: true });
  });
