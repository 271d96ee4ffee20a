// The frame around the list of conversations: making a new one, the ways to other pages, the tags, the account, folding
// away. On a wide screen it stands beside the conversation; on a narrow one it is a drawer above it.

import { filter } from "./conversations.js";
import { el, icon, iconButton, place } from "./dom.js";
import { words } from "./lang/en.js";
import { conversationList } from "./list.js";
import { openMenu } from "./overlay.js";
import { HOME, go, pageAddress } from "./router.js";
import { current, update, watch } from "./store.js";

const w = words.sidebar;
const FOLDED_NOTE = "fireside.sidebar-folded";
const narrow = matchMedia("(width < 48rem)");

export function sidebar({ signOut, showShortcuts, showPalette }) {
  return el(
    "aside",
    { class: "sidebar", id: "sidebar", "aria-label": w.label },
    head(),
    ways(showPalette),
    tagRow(),
    conversationList(closeDrawer),
    account(signOut, showShortcuts),
  );
}

function head() {
  return el(
    "div",
    { class: "sidebar-head" },
    el("span", { class: "wordmark" }, icon("mark"), words.product),
    iconButton("sidebar", w.close, {
      class: "icon-button sidebar-close",
      onclick: toggleSidebar,
      "aria-controls": "sidebar",
    }),
  );
}

/** What stands above the list: a new conversation, the search through all of them, the library. */
function ways(showPalette) {
  const search = el(
    "button",
    { type: "button", class: "way", onclick: () => (closeDrawer(), showPalette()) },
    icon("search"),
    w.search,
    el("kbd", { "aria-hidden": "true" }, w.searchKeys),
  );
  const library = el(
    "a",
    { class: "way", href: pageAddress("library"), onclick: closeDrawer },
    icon("library"),
    words.library.heading,
  );
  watch(
    ({ route }) => [route],
    ({ route }) => mark(library, route.page === "library"),
  );
  return el(
    "div",
    { class: "ways" },
    el("a", { class: "way new-conversation", href: HOME, onclick: closeDrawer }, icon("new"), w.newConversation),
    search,
    library,
  );
}

const mark = (link, isHere) =>
  isHere ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");

/** The tags in use; pressing one lists only its conversations. */
function tagRow() {
  const row = el("div", { class: "tag-row", role: "group", "aria-label": w.tags });
  const chips = new Map();
  watch(
    (state) => [state.tags, state.tag],
    ({ tags, tag }) => {
      const names = tags.map(({ name }) => name);
      if (tag && !names.includes(tag)) names.push(tag);
      row.hidden = names.length === 0;
      for (const name of names) if (!chips.has(name)) chips.set(name, chip(name));
      place(
        row,
        names.map((name) => chips.get(name)),
      );
      for (const [name, node] of chips) node.setAttribute("aria-pressed", String(name === tag));
    },
  );
  return row;
}

const chip = (name) =>
  el(
    "button",
    { type: "button", class: "tag", dir: "auto", onclick: () => filter(name === current().tag ? "" : name) },
    name,
  );

function account(signOut, showShortcuts) {
  const { user } = current();
  const initial = el("span", { class: "initial", "aria-hidden": "true" });
  const shown = el("span", { class: "account-name" });
  const button = el(
    "button",
    { type: "button", class: "account", "aria-haspopup": "menu" },
    initial,
    el("span", { class: "unseen" }, w.account),
    shown,
    icon("more"),
  );
  watch(
    (state) => [state.user],
    ({ user: { display_name: chosen, email, username } }) => {
      shown.textContent = chosen || email || username;
      initial.textContent = [...shown.textContent][0].toUpperCase();
    },
  );
  button.addEventListener("click", () =>
    openMenu(button, [
      { icon: "settings", label: words.settings.heading, run: () => visit("settings") },
      { icon: "usage", label: words.usage.heading, run: () => visit("usage") },
      ...(user.role === "admin" ? [{ icon: "admin", label: words.admin.heading, run: () => visit("admin") }] : []),
      { icon: "keyboard", label: words.menu.shortcuts, run: showShortcuts },
      { icon: "leave", label: words.menu.signOut, run: signOut },
    ]),
  );
  return button;
}

function visit(page) {
  closeDrawer();
  go(pageAddress(page));
}

/** Applies the sidebar's state to the page, and the page's width to the sidebar. */
export function watchSidebar(frame, main, signal) {
  const aside = frame.querySelector(".sidebar");
  const scrim = el("div", { class: "scrim", onclick: closeDrawer });
  aside.after(scrim);
  const fit = () => update({ sidebarOpen: !narrow.matches && !isFolded() });
  narrow.addEventListener("change", fit, { signal });
  fit();
  watch(
    (state) => [state.sidebarOpen],
    ({ sidebarOpen }) => {
      frame.toggleAttribute("data-sidebar-open", sidebarOpen);
      aside.inert = !sidebarOpen;
      main.inert = sidebarOpen && narrow.matches;
    },
  );
  // Only from here on are changes someone's doing, and worth a movement.
  requestAnimationFrame(() => frame.setAttribute("data-settled", ""));
}

export function toggleSidebar() {
  const open = !current().sidebarOpen;
  update({ sidebarOpen: open });
  if (!narrow.matches) rememberFolded(!open);
  // The button that was pressed is hidden now; its counterpart takes the focus.
  queueMicrotask(() => document.querySelector(open ? ".sidebar-close" : ".sidebar-open").focus());
}

/** On a narrow screen, gives the screen back to the conversation. True if there was a drawer to close. */
export function closeDrawer() {
  if (!narrow.matches || !current().sidebarOpen) return false;
  update({ sidebarOpen: false });
  queueMicrotask(() => {
    const at = document.activeElement;
    if (at === document.body || at.closest(".sidebar")) document.querySelector(".sidebar-open").focus();
  });
  return true;
}

function isFolded() {
  try {
    return localStorage.getItem(FOLDED_NOTE) !== null;
  } catch {
    return false;
  }
}

function rememberFolded(folded) {
  try {
    if (folded) localStorage.setItem(FOLDED_NOTE, "1");
    else localStorage.removeItem(FOLDED_NOTE);
  } catch {
    // Without storage the sidebar is open again after a reload.
  }
}
