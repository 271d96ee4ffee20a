// Keeps this page in step with the user's other devices: a WebSocket tells when something happens in a conversation, and
// the page fetches it. It also knows whether the server can be reached.

import * as api from "./api.js";
import { load } from "./conversations.js";
import { threadOf, openId, NEW, current, update } from "./store.js";
import { changed, happened, join, open } from "./turns.js";

const RETRY_FIRST_MS = 1000;
const RETRY_MOST_MS = 30_000;
const PING_EVERY_MS = 45_000;

/** Connects, and connects again, until `signal` aborts. */
export function keepInStep(signal) {
  api.onReached((online) => online !== current().online && update({ online }));
  let wait = RETRY_FIRST_MS;
  let timer;
  let socket;
  let isFirst = true;
  const connect = () => {
    clearTimeout(timer);
    if (signal.aborted || socket?.readyState <= WebSocket.OPEN) return;
    socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}${api.ROOT}/ws`);
    const ping = setInterval(
      () => socket.readyState === WebSocket.OPEN && socket.send('{"type":"ping"}'),
      PING_EVERY_MS,
    );
    let wasOpen = false;
    socket.addEventListener("open", () => {
      wasOpen = true;
      wait = RETRY_FIRST_MS;
      update({ online: true });
      // What happened meanwhile was not told.
      if (!isFirst) catchUp();
      isFirst = false;
    });
    socket.addEventListener("message", ({ data }) => hear(JSON.parse(data)));
    socket.addEventListener("close", () => {
      clearInterval(ping);
      if (signal.aborted) return;
      // Refused at once: asking tells an ended session from a server that is away, and sets what the banner says.
      if (!wasOpen) api.me().catch(() => {});
      timer = setTimeout(connect, wait);
      wait = Math.min(wait * 2, RETRY_MOST_MS);
    });
  };
  connect();
  // A socket may have outlived the break: only an answer tells that the server can be reached.
  addEventListener("online", () => (connect(), api.me().catch(() => {})), { signal });
  addEventListener("offline", () => update({ online: false }), { signal });
  signal.addEventListener("abort", () => (clearTimeout(timer), socket?.close()));
}

function hear({ type, data }) {
  if (type === "message") happened(data.chat_id, data.sender === "ai");
  else if (type === "changed") changed(data.chat_id);
  // A reply has begun that this page did not ask for.
  else if (type === "typing" && data.sender === "ai" && data.is_typing && data.chat_id === openId()) join(data.chat_id);
}

function catchUp() {
  load();
  const id = openId();
  if (id !== NEW && threadOf(id).waiting === "") open(id);
}
