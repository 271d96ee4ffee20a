// The signed-in page as a whole: puts its parts together and starts what runs as long as it is shown.

import * as api from "./api.js";
import { composer } from "./composer.js";
import { conversationView } from "./conversation.js";
import * as conversations from "./conversations.js";
import { el } from "./dom.js";
import * as drafts from "./drafts.js";
import { words } from "./lang/en.js";
import { start } from "./router.js";
import { listenForKeys, showShortcuts } from "./shortcuts.js";
import { sidebar, watchSidebar } from "./sidebar.js";
import { NEW, chatOf, openId, openThread, reset, update, watch } from "./store.js";
import { toast, toastRegion } from "./toast.js";
import { topbar } from "./topbar.js";
import { open } from "./turns.js";

/** Fills `root` with the chat of `user`; the result takes it away again. `onSignOut` runs once signed out. */
export function mount(root, { user, onSignOut }) {
  const life = new AbortController();
  update({ user });
  drafts.load(user);
  start(life.signal);

  const signOut = async () => {
    try {
      await api.signOut();
    } catch {
      return toast({ text: words.signOutFailed });
    }
    drafts.removeAll();
    onSignOut();
  };

  const main = el("main", { class: "main" }, topbar(), conversationView(), composer());
  const frame = el(
    "div",
    { class: "frame" },
    el("a", { class: "skip", href: "#message" }, words.skip),
    sidebar({ signOut, showShortcuts }),
    main,
    toastRegion(life.signal),
  );
  root.replaceChildren(frame);
  watchSidebar(frame, main, life.signal);
  listenForKeys(life.signal);

  watch((state) => [isWelcome(state)], (state) => frame.toggleAttribute("data-welcome", isWelcome(state)));
  watch((state) => [openId(state), chatOf(openId(state), state)?.title], (state) => {
    document.title = words.title(chatOf(openId(state), state)?.title);
  });
  watch((state) => [openId(state)], (state) => arrive(openId(state)));
  conversations.load();
  // Only once the list is there is it known whether the open conversation is in it.
  watch((state) => [openId(state), state.list.status === "ready"], (state) => {
    if (openId(state) !== NEW && state.list.status === "ready") conversations.find(openId(state));
  });

  return () => {
    life.abort();
    reset();
  };
}

const isWelcome = (state) => openId(state) === NEW && openThread(state).messages.length === 0;

function arrive(id) {
  // On a touch screen the focus would bring up the keyboard, which hides what was just opened.
  document.querySelector(matchMedia("(hover: hover)").matches ? ".composer textarea" : ".topbar h1")?.focus();
  if (id !== NEW) open(id);
}
