// The list of conversations with what belongs to it: making a new one, the account, folding away. On a wide
// screen it stands beside the conversation; on a narrow one it is a drawer above it.

import { archive, endRename, filter, load, loadMore, pin, remove, rename, startRename } from "./conversations.js";
import { el, icon, iconButton, memo, place } from "./dom.js";
import { words } from "./lang/en.js";
import { openMenu } from "./overlay.js";
import { HOME, address, go, pageAddress } from "./router.js";
import { current, openId, update, watch } from "./store.js";

const w = words.sidebar;
const FOLDED_NOTE = "fireside.sidebar-folded";
/** The next page is fetched when the end of the list is this close to the view. */
const LOAD_AHEAD = "400px";
/** The longest name the server takes. */
const TITLE_CHARS_MAX = 200;
const narrow = matchMedia("(width < 48rem)");

export function sidebar({ signOut, showShortcuts, showPalette }) {
  const list = el("div", { class: "list" });
  const end = el("div", { class: "list-end" });
  const scroll = el("nav", { class: "list-scroll", "aria-label": w.label, onkeydown: moveInList }, list, end);
  const draw = drawList(list, end);
  watch((state) => [state.list, openId(state), marks(state), state.renaming, state.tag], draw);
  const ahead = new IntersectionObserver(
    (entries) => {
      if (entries.at(-1).isIntersecting && current().list.status === "ready") loadMore();
    },
    { root: scroll, rootMargin: `0px 0px ${LOAD_AHEAD}` },
  );
  // Observing anew after each page tells again whether the end is in view: a short page may not have moved it out.
  watch(
    (state) => [state.list.chats.length, state.list.status],
    () => {
      ahead.unobserve(end);
      ahead.observe(end);
    },
  );
  return el(
    "aside",
    { class: "sidebar", id: "sidebar", "aria-label": w.label },
    head(),
    ways(showPalette),
    tagRow(),
    scroll,
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
  const chip = memo((tags, chosen) =>
    tags.map(({ name }) =>
      el(
        "button",
        {
          type: "button",
          class: "tag",
          "aria-pressed": String(name === chosen),
          onclick: () => filter(name === chosen ? "" : name),
        },
        name,
      ),
    ),
  );
  watch(
    (state) => [state.tags, state.tag],
    ({ tags, tag }) => {
      row.hidden = tags.length === 0 && tag === "";
      place(row, chip(tags.some(({ name }) => name === tag) || !tag ? tags : [...tags, { name: tag }], tag));
    },
  );
  return row;
}

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

/** What can be done with the conversation `id`, for the menu of its row and of the top bar. */
export function conversationMenu(id, where) {
  const chat = current().list.chats.find((one) => one.id === id);
  return [
    { icon: "rename", label: words.menu.rename, run: () => startRename(id, where) },
    { icon: "pin", label: chat.is_pinned ? words.menu.unpin : words.menu.pin, run: () => pin(id) },
    { icon: "archive", label: chat.is_archived ? words.menu.unarchive : words.menu.archive, run: () => archive(id) },
    {
      icon: "settings",
      label: words.menu.settings,
      run: async () => (await import("./chat-settings.js")).openChatSettings(id),
    },
    { icon: "delete", label: words.menu.delete, run: () => removeRow(id), danger: true },
  ];
}

/** Deletes a conversation; the focus goes to its neighbour rather than to the top of the page. */
function removeRow(id) {
  const rows = links();
  const at = rows.findIndex((link) => link.dataset.id === id);
  const neighbour = rows[at + 1] ?? rows[at - 1] ?? document.querySelector(".new-conversation");
  remove(id);
  if (document.activeElement === document.body || rows[at] === document.activeElement) neighbour.focus();
}

/** Draws the list again and again into `list`, keeping the rows that stay as they are. */
function drawList(list, end) {
  const sections = new Map();
  const rows = new Map();
  return (state) => {
    const groups = Map.groupBy(state.list.chats, groupOf(new Date()));
    const shown = Object.keys(w.groups).filter((name) => groups.has(name));
    for (const name of shown) {
      if (!sections.has(name)) sections.set(name, section(name));
      place(
        sections.get(name).lastChild,
        groups.get(name).map((chat) => keep(rows, state, chat)),
      );
    }
    place(
      list,
      shown.map((name) => sections.get(name)),
    );
    end.replaceChildren(...listEnd(state));
  };
}

function section(name) {
  const rows = el("ul", { role: "list" });
  // What is put away stays out of the way until asked for.
  if (name === "archived")
    return el("details", { class: "archived" }, el("summary", null, icon("chevron"), w.groups[name]), rows);
  return el("section", { "aria-label": w.groups[name] }, el("h2", null, w.groups[name]), rows);
}

/** What the rows show of their threads, to be compared: a thread changes with every word of a reply, and this does not. */
const marks = ({ threads }) =>
  Object.entries(threads)
    .map(([id, { waiting, fresh }]) => `${id} ${waiting !== ""} ${fresh}`)
    .join("\n");

/** The row of `chat`, made anew only if something it shows has changed. */
function keep(rows, state, chat) {
  const open = openId(state) === chat.id;
  const renaming = state.renaming?.id === chat.id && state.renaming.where === "list";
  const thread = state.threads[chat.id];
  const mark = thread?.waiting ? "waiting" : thread?.fresh ? "fresh" : "";
  const shows = [chat.title, chat.is_pinned, open, renaming, mark].join("\n");
  const known = rows.get(chat.id);
  if (known?.shows === shows) return known.node;
  const hadFocus = known?.node.contains(document.activeElement) || known?.renaming;
  const node = row(chat, { open, renaming, mark });
  rows.set(chat.id, { shows, node, renaming });
  if (hadFocus && !renaming)
    queueMicrotask(() => document.activeElement === document.body && node.querySelector("a").focus());
  return node;
}

function row(chat, { open, renaming, mark }) {
  if (renaming) return el("li", { class: "row" }, renameField(chat));
  const title = chat.title || words.untitled;
  const more = iconButton("more", w.more(title), { class: "icon-button row-more", "aria-haspopup": "menu" });
  more.addEventListener("click", () => openMenu(more, conversationMenu(chat.id, "list")));
  return el(
    "li",
    { class: "row" },
    el(
      "a",
      { href: address(chat.id), title, "data-id": chat.id, "aria-current": open ? "page" : null, onclick: closeDrawer },
      el("span", { class: "row-title", dir: "auto" }, title),
      mark ? el("span", { class: `row-mark ${mark}`, role: "img", "aria-label": w[mark] }) : null,
    ),
    more,
  );
}

function listEnd({ list: { status, chats }, tag }) {
  if (status === "loading" && chats.length === 0) return [skeleton()];
  if (status === "failed") {
    const first = chats.length === 0;
    const retry = el("button", { type: "button", class: "link", onclick: first ? load : loadMore }, words.tryAgain);
    return [el("p", { class: "list-note", role: "alert" }, first ? w.failed : w.moreFailed, " ", retry)];
  }
  return chats.length === 0 ? [el("p", { class: "list-note" }, tag ? w.emptyTag : w.empty)] : [];
}

const skeleton = () =>
  el("div", { class: "skeleton", "aria-hidden": "true" }, ...Array.from({ length: 5 }, () => el("span")));

/** Names the group of a conversation, seen from the day of `now`. */
function groupOf(now) {
  const daysAgo = (days) => new Date(now.getFullYear(), now.getMonth(), now.getDate() - days).getTime();
  const [today, yesterday, week, month] = [daysAgo(0), daysAgo(1), daysAgo(7), daysAgo(30)];
  return (chat) => {
    if (chat.is_archived) return "archived";
    if (chat.is_pinned) return "pinned";
    const at = Date.parse(chat.updated_at);
    if (at >= today) return "today";
    if (at >= yesterday) return "yesterday";
    if (at >= week) return "week";
    return at >= month ? "month" : "older";
  };
}

const links = () => [...document.querySelectorAll(".row a")].filter((link) => link.offsetParent !== null);

/** Arrow keys go through the rows; F2 renames and Delete deletes the one in focus. */
function moveInList(event) {
  const id = event.target.dataset?.id;
  if (!id) return;
  const rows = links();
  const at = rows.indexOf(event.target);
  const act = {
    ArrowDown: () => rows[at + 1]?.focus(),
    ArrowUp: () => rows[at - 1]?.focus(),
    Home: () => rows[0].focus(),
    End: () => rows.at(-1).focus(),
    F2: () => startRename(id, "list"),
    Delete: () => removeRow(id),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
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
  queueMicrotask(() => document.activeElement === document.body && document.querySelector(".sidebar-open").focus());
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

/** The field that takes the place of a conversation's name while it is changed. */
export function renameField(chat) {
  // Taking the field out of the page makes it lose the focus, which must not count as a second end.
  let ended = false;
  const end = (keep) => {
    if (ended) return;
    ended = true;
    endRename();
    if (keep) rename(chat.id, input.value.trim());
  };
  const input = el("input", {
    class: "rename",
    value: chat.title ?? "",
    maxlength: TITLE_CHARS_MAX,
    "aria-label": words.renameLabel,
    autocomplete: "off",
    dir: "auto",
    onblur: () => end(true),
    onkeydown(event) {
      if (event.isComposing) return;
      if (event.key === "Enter") end(true);
      if (event.key !== "Escape") return;
      // Escape closes one thing only: not the drawer as well.
      event.stopPropagation();
      end(false);
    },
  });
  // Once it is in the page.
  queueMicrotask(() => {
    input.focus();
    input.select();
  });
  return input;
}
