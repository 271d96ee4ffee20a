// The conversation on the screen: its messages, the wait for a reply, and what stands there when there is
// nothing to read.

import { el, icon, iconButton, keepFocus, memo, place } from "./dom.js";
import { listenForCode, listenForJumps } from "./html.js";
import { words } from "./lang/en.js";
import { messageItem } from "./message.js";
import { HOME } from "./router.js";
import { NEW, current, openId, openThread, update, watch } from "./store.js";
import { loadEarlier, open, regenerate } from "./turns.js";
import { welcome } from "./welcome.js";

const w = words.conversation;
/** This close to the end counts as reading the end. */
const NEAR_END_PX = 40;
/** From this far the way to the latest message is offered. */
const FAR_FROM_END_PX = 240;
const FOUND_MS = 2000;
/** Earlier messages are fetched when the beginning is this close to the view. */
const LOAD_AHEAD = "600px";

export function conversationView() {
  const column = el("div", { class: "column" });
  // A reply is read out once, when it is there; the list itself is silent, or opening it would read it all.
  const spoken = el("div", { class: "unseen", role: "status" });
  // In the tab order, so that long texts can be scrolled with the keyboard.
  const view = el("section", { class: "conversation", "aria-label": w.label, tabindex: "0" }, column);
  const latest = iconButton("down", w.latest, { class: "icon-button latest", hidden: true });
  listenForCode(view);
  listenForJumps(view);
  const end = stayAtEnd(view, column, latest);
  const draw = drawInto(column, end);
  let before = { id: null, waiting: "" };
  watch(
    (state) => [
      openId(state),
      openThread(state),
      state.list.total,
      state.list.status,
      state.editing,
      state.models,
      state.sought,
    ],
    (state) => {
      const id = openId(state);
      const thread = openThread(state);
      draw(id, thread, state);
      if (before.id === id && before.waiting && !thread.waiting) {
        const last = thread.messages.at(-1);
        if (thread.problem) spoken.textContent = thread.problem;
        else if (last?.role === "assistant") spoken.textContent = w.replied(last.text);
      }
      before = { id, waiting: thread.waiting };
    },
  );
  return el("div", { class: "conversation-frame" }, spoken, view, latest);
}

/** Keeps the end in view as long as that is what is read; whoever has scrolled up is left where they are. */
function stayAtEnd(view, column, latest) {
  let following = true;
  let top = 0;
  const toEnd = () => {
    following = true;
    view.scrollTop = view.scrollHeight;
    // What shrinks moves the text as well: only what goes up from here is somebody's doing.
    top = view.scrollTop;
  };
  const left = () => view.scrollHeight - view.scrollTop - view.clientHeight;
  const offer = () => (latest.hidden = left() < FAR_FROM_END_PX);
  view.addEventListener(
    "scroll",
    () => {
      // Going up is a decision, however small; coming close to the end is one too.
      following = view.scrollTop < top ? left() < 2 : following || left() < NEAR_END_PX;
      top = view.scrollTop;
      offer();
    },
    { passive: true },
  );
  latest.addEventListener("click", () => {
    toEnd();
    latest.hidden = true;
    view.focus({ preventScroll: true });
  });
  // Messages grow, the composer grows, a phone's keyboard comes up: all of them before the next picture is drawn.
  const sizes = new ResizeObserver(() => {
    if (following) toEnd();
    offer();
  });
  sizes.observe(view);
  sizes.observe(column);
  const leave = () => (following = false);
  return { toEnd, leave };
}

/** Draws a thread again and again, keeping the messages that stay and the place that is read. */
function drawInto(column, end) {
  const list = el("ol", { class: "messages", role: "list" });
  const around = surroundings(list);
  let items = new Map();
  let drawn = { id: null };
  const draw = (id, thread, state) => {
    const kept = new Map();
    const last = thread.messages.at(-1);
    for (const message of thread.messages) {
      const item = items.get(message.key) ?? { ...messageItem(), seen: [] };
      // Only the last message, and one that is edited, can change without being another object.
      const live = message === last && thread.live?.id === message.id ? thread.live : null;
      const seen = [message, live, state.editing === message.key, thread.waiting !== ""];
      if (seen.some((value, i) => value !== item.seen[i])) {
        item.seen = seen;
        item.update(message, { live, editing: seen[2], busy: seen[3] });
      }
      kept.set(message.key, item);
    }
    items = kept;
    place(
      list,
      [...items.values()].map(({ node }) => node),
    );
    place(column, around(id, thread, state));
    const isOpened = id !== drawn.id || thread.status !== drawn.status;
    const isSent = last?.role === "user" && last.key !== drawn.last;
    if (isOpened || isSent) end.toEnd();
    // The message that is edited is what is looked at, wherever the end is.
    if (state.editing && state.editing !== drawn.editing) end.leave();
    drawn = { id, status: thread.status, last: last?.key, editing: state.editing };
    const sought = state.sought && thread.messages.find((message) => message.id === state.sought);
    if (sought) showFound(items.get(sought.key).node, end);
  };
  return (id, thread, state) => {
    const at = [...list.children].findIndex((node) => node.contains(document.activeElement));
    keepFocus(
      column,
      () => draw(id, thread, state),
      (held) => namesake(list.children[at], held) ?? document.querySelector("#message"),
    );
  };
}

/** The arrow to another version that stands for `held` in the message that has taken the place of its own. */
function namesake(node, held) {
  if (!held.closest(".branches")) return null;
  const arrows = [...(node?.querySelectorAll(".branches button:enabled") ?? [])];
  return arrows.find((arrow) => arrow.title === held.title) ?? arrows[0];
}

/** Brings a message that was searched for into view, and marks it for a moment. */
function showFound(node, end) {
  end.leave();
  node.scrollIntoView({ block: "center" });
  node.setAttribute("data-found", "");
  setTimeout(() => node.removeAttribute("data-found"), FOUND_MS);
  update({ sought: null });
}

/** Gives the list with what stands before and after it, or what stands in its place. */
function surroundings(list) {
  const parts = Object.fromEntries(
    Object.entries({ welcome, skeleton, missing, failed, empty, earlierEdge, thinking, problem }).map(
      ([name, make]) => [name, memo(make)],
    ),
  );
  return (id, thread, state) => {
    const { list: chats, user } = state;
    const isFirst = chats.status === "ready" && chats.total === 0;
    if (id === NEW && thread.messages.length === 0)
      return [parts.welcome(isFirst, user.role === "admin", state.models)];
    if (thread.status === "loading") return [parts.skeleton()];
    if (thread.status === "missing") return [parts.missing()];
    if (thread.status === "failed") return [parts.failed(id)];
    if (thread.messages.length === 0) return [parts.empty()];
    const last = thread.messages.at(-1);
    const hasBegun = thread.live && (thread.live.text || thread.live.reasoning || thread.live.tools.length > 0);
    return [
      thread.earlier ? parts.earlierEdge(id, thread.messages[0].key) : null,
      list,
      thread.waiting && !hasBegun ? parts.thinking() : null,
      thread.problem && !thread.waiting ? parts.problem(id, thread.problem, last) : null,
    ].filter((node) => node !== null);
  };
}

const placeholder = (text, ...rest) => el("div", { class: "placeholder" }, el("p", null, text), ...rest);
const empty = () => placeholder(w.empty);
const missing = () => placeholder(w.missing, el("a", { class: "button", href: HOME }, words.newConversation));
const failed = (id) =>
  placeholder(w.failed, el("button", { type: "button", class: "button", onclick: () => open(id) }, words.tryAgain));

function skeleton() {
  return el(
    "div",
    { class: "skeleton", role: "img", "aria-label": w.loading },
    ...Array.from({ length: 4 }, () => el("span")),
  );
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

/** Why there is no reply, or no whole one, and the way to another. */
function problem(id, text, last) {
  const again = el("button", { type: "button", class: "link", onclick: () => regenerate(id, last) }, words.tryAgain);
  return el("p", { class: "reply-problem" }, icon("warn"), el("span", null, text, " ", again));
}

/** Where the messages begin that are known: coming close to it fetches those before. */
function earlierEdge(id) {
  const button = el("button", { type: "button", class: "quiet-button earlier" }, w.earlier);
  const load = async () => {
    const view = button.closest(".conversation");
    if (!view || button.disabled) return;
    button.disabled = true;
    try {
      const putBefore = await loadEarlier(id);
      // Measured now, not when they were asked for: whoever has scrolled meanwhile stays where they are.
      const first = view.querySelector(".message");
      const top = first.getBoundingClientRect().top;
      putBefore();
      // After the page has been drawn with them, what was in view is put back where it was.
      queueMicrotask(() => {
        view.scrollTop += first.getBoundingClientRect().top - top;
      });
    } catch {
      button.disabled = false;
      button.textContent = w.earlierFailed;
    }
  };
  button.addEventListener("click", load);
  queueMicrotask(() => {
    const view = button.closest(".conversation");
    const near = new IntersectionObserver(
      ([entry]) => {
        // The first messages of a conversation that has just been opened are not asked for: its end is what is read.
        if (!entry.isIntersecting || current().threads[id]?.messages.length === 0) return;
        near.disconnect();
        load();
      },
      { root: view, rootMargin: `${LOAD_AHEAD} 0px 0px` },
    );
    if (view) near.observe(button);
  });
  return button;
}
