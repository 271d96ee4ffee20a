// The conversation on the screen: its messages, the wait for a reply, and what stands there when there is
// nothing to read.

import { el, icon, place } from "./dom.js";
import { words } from "./lang/en.js";
import { looks, messageItem } from "./message.js";
import { HOME } from "./router.js";
import { NEW, current, openId, openThread, watch } from "./store.js";
import { loadEarlier, open, sendAgain } from "./turns.js";

const w = words.conversation;
/** This close to the end counts as reading the end. */
const NEAR_END_PX = 80;
/** What stays visible above a message that is brought into view. */
const ABOVE_PX = 24;

export function conversationView() {
  const column = el("div", { class: "column" });
  // A reply is read out once, when it is there; the list itself is silent, or opening it would read it all.
  const spoken = el("div", { class: "unseen", role: "status" });
  // In the tab order, so that long texts can be scrolled with the keyboard.
  const view = el("section", { class: "conversation", "aria-label": w.label, tabindex: "0" }, column);
  const draw = drawInto(view, column);
  let before = { id: null, waiting: "" };
  watch((state) => [openId(state), openThread(state), state.list], (state) => {
    const id = openId(state);
    const thread = openThread(state);
    const last = thread.messages.at(-1);
    draw(id, thread);
    if (before.id === id && before.waiting && !thread.waiting) {
      if (thread.problem) spoken.textContent = thread.problem;
      else if (last?.role === "assistant") spoken.textContent = w.replied(last.content);
    }
    before = { id, waiting: thread.waiting };
  });
  return el("div", { class: "conversation-frame" }, spoken, view);
}

/** Draws a thread again and again, keeping the messages that stay and the place that is read. */
function drawInto(view, column) {
  const list = el("ol", { class: "messages", role: "list" });
  const around = surroundings(list);
  let items = new Map();
  let drawn = { id: null };
  // When the composer grows or a phone's keyboard comes up, the end that was in view stays in view.
  let atEnd = true;
  view.addEventListener("scroll", () => (atEnd = isNearEnd(view)), { passive: true });
  new ResizeObserver(() => atEnd && (view.scrollTop = view.scrollHeight)).observe(view);
  return (id, thread) => {
    const nodes = new Map();
    for (const message of thread.messages) {
      const known = items.get(message.key);
      const look = looks(message);
      nodes.set(message.key, known?.look === look ? known : { look, node: messageItem(message) });
    }
    items = nodes;
    const nearEnd = isNearEnd(view);
    place(list, [...nodes.values()].map(({ node }) => node));
    place(column, around(id, thread));
    const last = thread.messages.at(-1);
    const isOpened = id !== drawn.id || thread.status !== drawn.status;
    const isSent = last?.role === "user" && last.key !== drawn.last;
    if (isOpened || isSent) view.scrollTop = view.scrollHeight;
    else if (nearEnd) showEnd(view, list);
    drawn = { id, status: thread.status, last: last?.key };
  };
}

const isNearEnd = (view) => view.scrollHeight - view.scrollTop - view.clientHeight < NEAR_END_PX;

/** Shows the end of the conversation, but not past the beginning of the last turn: a long reply is read from its top. */
function showEnd(view, list) {
  const turn = [...list.querySelectorAll(".own")].at(-1);
  const top = turn ? turn.offsetTop - ABOVE_PX : Infinity;
  view.scrollTop = Math.min(view.scrollHeight - view.clientHeight, top);
}

/** Gives the list with what stands before and after it, or what stands in its place. */
function surroundings(list) {
  // Each is made anew only when it is about something else: a button keeps its focus, the wait its length.
  const made = new Map();
  const once = (make, ...about) => {
    const known = made.get(make);
    if (known && known.about.every((value, i) => value === about[i])) return known.node;
    const node = make(...about);
    made.set(make, { about, node });
    return node;
  };
  return (id, thread) => {
    const { list: chats, user } = current();
    const isFirst = chats.status === "ready" && chats.total === 0;
    if (id === NEW && thread.messages.length === 0) return [once(welcome, isFirst && user.role === "admin")];
    if (thread.status === "loading") return [once(skeleton)];
    if (thread.status === "missing") return [once(missing)];
    if (thread.status === "failed") return [once(failed, id)];
    if (thread.messages.length === 0) return [once(empty)];
    return [
      thread.earlier ? once(earlierButton, id, thread.messages[0].key) : null,
      list,
      thread.waiting ? once(thinking) : null,
      thread.problem ? once(problem, id, thread.problem) : null,
    ].filter((node) => node !== null);
  };
}

function welcome(isFirst) {
  const w = words.welcome;
  const mark = icon("mark");
  mark.classList.add("mark");
  const lead = isFirst ? [w.first, el("code", null, "OPENAI_API_KEY"), w.firstEnd] : [w.hint];
  const greeting = el("p", { class: "greeting" }, w.greeting(new Date().getHours()));
  return el("div", { class: "welcome" }, mark, greeting, el("p", { class: "lead" }, ...lead));
}

const placeholder = (text, ...rest) => el("div", { class: "placeholder" }, el("p", null, text), ...rest);
const empty = () => placeholder(w.empty);
const missing = () => placeholder(w.missing, el("a", { class: "button", href: HOME }, words.newConversation));
const failed = (id) => placeholder(w.failed, el("button", { type: "button", class: "button", onclick: () => open(id) }, words.tryAgain));

function skeleton() {
  return el("div", { class: "skeleton", role: "img", "aria-label": w.loading }, ...Array.from({ length: 4 }, () => el("span")));
}

function thinking() {
  return el(
    "div",
    { class: "thinking" },
    icon("mark"),
    el("span", null, w.thinking),
    el("span", { class: "late" }, w.late),
  );
}

function problem(id, text) {
  const again = el("button", { type: "button", class: "link", onclick: () => sendAgain(id) }, words.tryAgain);
  return el("p", { class: "reply-problem" }, text, " ", again);
}

function earlierButton(id) {
  const button = el("button", { type: "button", class: "quiet-button earlier" }, w.earlier);
  button.addEventListener("click", async () => {
    const view = button.closest(".conversation");
    const fromEnd = view.scrollHeight - view.scrollTop;
    button.disabled = true;
    try {
      await loadEarlier(id);
      // After the page has been drawn with them, what was in view is put back where it was.
      queueMicrotask(() => {
        view.scrollTop = view.scrollHeight - fromEnd;
      });
    } catch {
      button.disabled = false;
      button.textContent = w.earlierFailed;
    }
  });
  return button;
}
