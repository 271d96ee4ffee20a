// The list of conversations: by day, rows for those near the view and room for all others, so that ten thousand cost what
// a screenful does. Knows where each row stands, which row the keyboard is at, and when more of them are wanted.

import { load, loadMore, remove, startRename } from "./conversations.js";
import { el, icon, place } from "./dom.js";
import { words } from "./lang/en.js";
import { row } from "./row.js";
import { current, openId, update, watch } from "./store.js";

const w = words.sidebar;
/** The next page is fetched when the end of the list is this close to the view: not yet when the first has just come. */
const LOAD_AHEAD = "1000px";
/** Rows stand ready this far outside of the view, so that scrolling by a screen shows no gap. */
const READY_PX = 800;
/** A day, the longest that is waited for midnight. */
const DAY_MS = 86_400_000;

/** Groups that are shown, in their order: `{ name, node, rows, chats, drawn }`. */
let groups = [];
let scroller = null;

export function conversationList(closeDrawer) {
  const list = el("div", { class: "list" });
  const end = el("div", { class: "list-end" });
  const scroll = el("nav", { class: "list-scroll", "aria-label": w.label }, list, end);
  const known = new Map();
  scroller = scroll;
  groups = [];
  watch(
    (state) => [state.list, state.today, openId(state), marks(state), state.renaming, state.tag],
    (state) => {
      const lost = beforeDrawing();
      groups = grouped(state).map(([name, chats]) => ({ ...(known.get(name) ?? group(name)), chats }));
      for (const one of groups) {
        known.set(one.name, one);
        one.rows.style.setProperty("--count", one.chats.length);
      }
      place(
        list,
        groups.map(({ node }) => node),
      );
      fill();
      end.replaceChildren(...listEnd(state));
      lost();
    },
  );
  scroll.addEventListener("scroll", fill, { passive: true });
  scroll.addEventListener("keydown", moveInList);
  scroll.addEventListener("click", ({ target }) => target.closest("a") && closeDrawer());
  // What is in a closed group has no place until it is opened, and the view has no size until it is in the page.
  scroll.addEventListener("toggle", fill, { capture: true });
  new ResizeObserver(fill).observe(scroll);
  loadAhead(scroll, end);
  return scroll;
}

function loadAhead(scroll, end) {
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
}

/** Keeps `today` in the state true past midnight, and past a night that the machine slept through. */
export function watchDay(signal) {
  let timer;
  const look = () => {
    clearTimeout(timer);
    const now = new Date();
    update({ today: now.toDateString() });
    const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1);
    timer = setTimeout(look, Math.min(midnight - now, DAY_MS));
  };
  look();
  document.addEventListener("visibilitychange", look, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
}

function group(name) {
  const rows = el("ul", { class: "row-list", role: "list" });
  const parts = { name, rows, drawn: new Map() };
  // What is put away stays out of the way until asked for.
  if (name === "archived") {
    const summary = el("summary", null, icon("chevron"), w.groups[name]);
    return { ...parts, node: el("details", { class: "archived" }, summary, rows) };
  }
  return { ...parts, node: el("section", { "aria-label": w.groups[name] }, el("h2", null, w.groups[name]), rows) };
}

let lastGrouped = { chats: null, today: null, tag: null, result: [] };

/** `[name, chats]` of each group there is, in the order in which they are shown. */
function grouped({ list: { chats }, today, tag }) {
  if (lastGrouped.chats !== chats || lastGrouped.today !== today || lastGrouped.tag !== tag) {
    // The one that is open is known without having the tag.
    const listed = tag ? chats.filter(({ tags }) => tags?.includes(tag)) : chats;
    const byName = Map.groupBy(listed, groupOf(new Date()));
    const result = Object.keys(w.groups)
      .filter((name) => byName.has(name))
      .map((name) => [name, byName.get(name)]);
    lastGrouped = { chats, today, tag, result };
  }
  return lastGrouped.result;
}

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

/** What the rows show of their threads, to be compared: a thread changes with every word of a reply, and this does not. */
const marks = ({ threads }) =>
  Object.entries(threads)
    .map(([id, { waiting, fresh }]) => `${id} ${waiting !== ""} ${fresh}`)
    .join("\n");

/** Makes the rows that are near the view, and takes away those that are not. */
function fill() {
  const state = current();
  const from = scroller.scrollTop - READY_PX;
  const to = scroller.scrollTop + scroller.clientHeight + READY_PX;
  // Where all stand is read before anything is written: one layout, not one for each group.
  const wanted = groups.map((one) => {
    const top = one.rows.offsetTop;
    const height = one.rows.offsetHeight / one.chats.length;
    if (!height) return [];
    const first = Math.max(0, Math.floor((from - top) / height));
    const last = Math.min(one.chats.length, Math.ceil((to - top) / height));
    const indices = Array.from({ length: Math.max(0, last - first) }, (_, i) => first + i);
    return withHeld(one, indices, state);
  });
  groups.forEach((one, i) => fillGroup(one, wanted[i], state));
}

/** The same, with the row that has the focus, an open menu or a field in it, wherever it is: losing it would lose that. */
function withHeld({ rows, chats }, indices, state) {
  const used = rows.querySelector("li:is(:focus-within, :has([aria-expanded=true]))")?.dataset.id;
  const held = [used, state.renaming?.where === "list" ? state.renaming.id : undefined]
    .filter(Boolean)
    .map((id) => chats.findIndex((chat) => chat.id === id))
    .filter((at) => at >= 0 && !indices.includes(at));
  return [...indices, ...held].sort((a, b) => a - b);
}

function fillGroup(one, indices, state) {
  const drawn = new Map();
  for (const at of indices) {
    const chat = one.chats[at];
    drawn.set(chat.id, keep(one, at, state));
  }
  one.drawn.clear();
  for (const [id, made] of drawn) one.drawn.set(id, made);
  place(
    one.rows,
    [...drawn.values()].map(({ node }) => node),
  );
}

/** The row at `at`, made anew only if something it shows has changed. Readers are told which one of how many it is. */
function keep({ chats, drawn }, at, state) {
  const chat = chats[at];
  const isOpen = openId(state) === chat.id;
  const isRenaming = state.renaming?.id === chat.id && state.renaming.where === "list";
  const thread = state.threads[chat.id];
  const mark = thread?.waiting ? "waiting" : thread?.fresh ? "fresh" : "";
  const shows = [chat.title, isOpen, isRenaming, mark].join("\n");
  const known = drawn.get(chat.id);
  const made = known?.shows === shows ? known : { shows, node: row(chat, { isOpen, isRenaming, mark }) };
  if (made.at !== at) made.node.style.setProperty("--at", at);
  if (made.at !== at || made.of !== chats.length) {
    made.node.setAttribute("aria-posinset", at + 1);
    made.node.setAttribute("aria-setsize", chats.length);
  }
  return Object.assign(made, { at, of: chats.length });
}

function listEnd(state) {
  const { list, tag } = state;
  const isEmpty = grouped(state).length === 0;
  if (list.status === "loading" && isEmpty) return [skeleton()];
  if (list.status === "failed") {
    const again = isEmpty ? load : loadMore;
    const retry = el("button", { type: "button", class: "link", onclick: again }, words.tryAgain);
    return [el("p", { class: "list-note", role: "alert" }, isEmpty ? w.failed : w.moreFailed, " ", retry)];
  }
  return isEmpty ? [el("p", { class: "list-note" }, tag ? w.emptyTag : w.empty)] : [];
}

const skeleton = () =>
  el("div", { class: "skeleton", "aria-hidden": "true" }, ...Array.from({ length: 5 }, () => el("span")));

/* The keyboard */

/** Every row that could be seen, as `[group, index]`: not those of a closed group. */
const places = () =>
  groups.filter(({ node }) => node.open !== false).flatMap((one) => one.chats.map((_, at) => [one, at]));

const placeOf = (all, id) => all.findIndex(([one, at]) => one.chats[at].id === id);

/** Arrow keys go through the rows; F2 renames and Delete deletes the one in focus. */
function moveInList(event) {
  if (!event.target.matches(".row > a")) return;
  const { id } = event.target.parentElement.dataset;
  const all = places();
  const at = placeOf(all, id);
  const act = {
    ArrowDown: () => focusRow(all[at + 1]),
    ArrowUp: () => focusRow(all[at - 1]),
    Home: () => focusRow(all[0]),
    End: () => focusRow(all.at(-1)),
    F2: () => startRename(id, "list"),
    Delete: () => remove(id),
  }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

/** Brings a row into view, which makes it if need be, and puts the focus there. */
function focusRow(where) {
  if (!where) return;
  const [one, at] = where;
  const height = one.rows.offsetHeight / one.chats.length;
  const top = one.rows.offsetTop + at * height;
  // The first row brings its heading along.
  const from = at === 0 ? one.node.offsetTop : top;
  const lowest = top + height - scroller.clientHeight;
  if (from < scroller.scrollTop) scroller.scrollTop = from;
  else if (lowest > scroller.scrollTop) scroller.scrollTop = lowest;
  fill();
  one.drawn.get(one.chats[at].id)?.node.querySelector("a")?.focus({ preventScroll: true });
}

/**
 * What is to be called after drawing: gives the focus back to the row that had it, wherever that is now, or to the one in
 * its place. Without this, deleting a row or leaving its field would begin the page anew for the keyboard.
 */
function beforeDrawing() {
  const id = document.activeElement.closest(".row")?.dataset.id;
  if (!id) return () => {};
  const at = placeOf(places(), id);
  return () => {
    if (document.activeElement !== document.body) return;
    const all = places();
    const now = placeOf(all, id);
    const where = all[now >= 0 ? now : Math.min(at, all.length - 1)];
    if (where) focusRow(where);
    else document.querySelector(".new-conversation").focus();
  };
}
