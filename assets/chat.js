// The signed-in page as a whole: puts its parts together and starts what runs as long as it is shown.

import * as api from "./api.js";
import { composer } from "./composer.js";
import { conversationView } from "./conversation.js";
import * as conversations from "./conversations.js";
import { el } from "./dom.js";
import * as drafts from "./drafts.js";
import { words } from "./lang/en.js";
import { watchDay } from "./list.js";
import { start } from "./router.js";
import { listenForKeys, showPalette, showShortcuts } from "./shortcuts.js";
import { sidebar, watchSidebar } from "./sidebar.js";
import { NEW, chatOf, current, isChat, openId, openThread, reset, update, watch } from "./store.js";
import { keepInStep } from "./sync.js";
import { toast, toastRegion } from "./overlay.js";
import { topbar } from "./topbar.js";
import { open } from "./turns.js";

/** Fills `root` with the chat that `begin` is the beginning of; the result takes it away again. `onSignOut` runs once signed out. */
export function mount(root, { begin, onSignOut }) {
  const life = new AbortController();
  const { chats, ...rest } = begin;
  update(rest);
  conversations.begin(chats);
  drafts.load(begin.user);
  watchDay(life.signal);
  const toasts = toastRegion(life.signal);
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

  const view = conversationView();
  const page = el("div", { class: "page-frame", hidden: true });
  const main = el("main", { class: "main", id: "main" }, topbar(), view, page, composer(life.signal));
  const frame = el(
    "div",
    { class: "frame" },
    el("a", { class: "skip", href: "#main" }, words.skip),
    sidebar({ signOut, showShortcuts, showPalette }),
    main,
    toasts,
  );
  frame.style.setProperty("--drop-words", JSON.stringify(words.files.drop));
  root.replaceChildren(frame);
  watchSidebar(frame, main, life.signal);
  listenForKeys(life.signal, signOut);
  showPages(view, page);

  watch(
    (state) => [isWelcome(state)],
    (state) => frame.toggleAttribute("data-welcome", isWelcome(state)),
  );
  watch(
    (state) => [openId(state), chatOf(openId(state), state)?.title, state.route],
    (state) => {
      document.title = words.title(
        isChat(state) ? chatOf(openId(state), state)?.title : words[state.route.page].heading,
      );
    },
  );
  watch(
    (state) => [openId(state), isChat(state)],
    (state) => isChat(state) && arrive(openId(state)),
  );
  // Only once the list is there is it known whether the open conversation is in it.
  watch(
    (state) => [openId(state), state.list.status === "ready"],
    (state) => {
      if (openId(state) !== NEW && state.list.status === "ready") conversations.find(openId(state));
    },
  );
  keepInStep(life.signal);

  return () => {
    life.abort();
    reset();
  };
}

const isWelcome = (state) => state.route.page === "new" && openThread(state).messages.length === 0;

/** Shows pages such as the settings in the place of the conversation. Their files come when one is first asked for. */
function showPages(view, host) {
  let shown = { page: null, close: () => {} };
  const show = async (state) => {
    const { page } = state.route;
    const isPage = !isChat(state);
    view.hidden = isPage;
    host.hidden = !isPage;
    if (page !== shown.page) {
      shown.close();
      shown = { page, close: () => {} };
      host.replaceChildren();
      if (!isPage) return;
      const made = await filesOf(page);
      if (shown.page !== page) return;
      if (!made) {
        shown.page = null;
        return host.replaceChildren(pageFailed(() => show(current())));
      }
      const life = new AbortController();
      shown = { page, close: () => life.abort(), turn: made.mount(host, life.signal) };
    }
    // By now it may be another section than the one that was asked for first.
    if (isPage) shown.turn?.(current().route.section);
  };
  watch(({ route }) => [route], show);
}

/** A page's module; null when the server is away. */
async function filesOf(page) {
  try {
    const { pageFor } = await import("./pages.js");
    return await pageFor(page);
  } catch (error) {
    // Most likely the server is away; if it is anything else, this is the only trace.
    console.error(error);
    return null;
  }
}

const pageFailed = (retry) =>
  el(
    "div",
    { class: "notice", role: "alert" },
    el("p", null, words.settings.failed),
    el("button", { type: "button", class: "button", onclick: retry }, words.tryAgain),
  );

function arrive(id) {
  // On a touch screen the focus would bring up the keyboard, which hides what was just opened.
  document.querySelector(matchMedia("(hover: hover)").matches ? "#message" : ".topbar h1")?.focus();
  if (id !== NEW) open(id);
}
