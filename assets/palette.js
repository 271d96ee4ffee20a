// The palette: one field that finds conversations, messages and documents, and runs what the page can do.

import * as api from "./api.js";
import { applyLook, setLook } from "./app.js";
import { el, icon, place } from "./dom.js";
import { ago, words } from "./lang/en.js";
import { searchField } from "./overlay.js";
import { filterChips, withoutOpenFilter } from "./search-filters.js";
import { address, go, pageAddress } from "./router.js";
import { current, update } from "./store.js";

const w = words.palette;
/** Finds that come at a time. */
const PAGE = 30;
/** From the end of the list, in pixels, the next page is fetched: some rows before it is seen. */
const NEAR_END = 200;
/** After the last key, before the server is asked. */
const TYPING_MS = 120;

export function openPalette(acts) {
  const input = searchField(w.placeholder, "found");
  const list = el("ul", { id: "found", class: "options", role: "listbox", "aria-label": w.results });
  const status = el("p", { class: "unseen", role: "status" });
  const chips = el("div", { class: "tag-row", role: "group", "aria-label": w.filters.heading });
  const dialog = el(
    "dialog",
    { class: "dialog palette", "aria-label": w.heading, closedby: "any", onclose: () => dialog.remove() },
    el("header", null, icon("search"), input),
    chips,
    list,
    status,
  );
  const commands = commandsFor(acts);
  let rows = [];
  let at = 0;
  let run = 0;
  let sought = { text: "", count: 0, isFetching: false };

  const show = (found, problem = "") => {
    rows = found;
    at = 0;
    list.scrollTop = 0;
    place(list, rows.length > 0 ? nodesOf(rows, 0, take) : [note(problem || w.none)]);
    tell(problem);
  };
  const tell = (problem = "") => {
    status.textContent = problem || w.count(rows.filter(({ isMore }) => !isMore).length);
    pointAt(list, input, at);
  };
  const take = (i) => {
    if (!rows[i]) return;
    if (rows[i].isMore) return further();
    dialog.close();
    rows[i].run();
  };
  const seek = async () => {
    const mine = ++run;
    place(chips, filterChips(input, seek));
    const text = withoutOpenFilter(input.value).trim();
    const fits = ({ label }) => label.toLowerCase().includes(text.toLowerCase());
    sought = { text, count: 0, isFetching: true };
    if (text === "") return show([...commands.filter(({ isPart }) => !isPart), ...recent()]);
    await new Promise((resolve) => setTimeout(resolve, TYPING_MS));
    if (mine !== run) return;
    const found = await api.search(text, PAGE, 0).catch(problemOf);
    if (mine !== run) return;
    const isFound = Array.isArray(found);
    const rest = isFound ? rowsOf(found) : found.isTheirs ? [] : recent().filter(fits);
    sought = { text, count: isFound ? found.length : 0, isFetching: false };
    show([...commands.filter(fits), ...rest], isFound ? "" : found.text);
  };
  /** The next page, behind what is there: neither the focus nor the place in the list changes. */
  const further = async () => {
    const last = rows.length - 1;
    if (!rows[last]?.isMore || sought.isFetching) return;
    const mine = run;
    sought.isFetching = true;
    const found = await api.search(sought.text, PAGE, sought.count).catch(problemOf);
    if (mine !== run) return;
    sought.isFetching = false;
    if (!Array.isArray(found)) return tell(found.text);
    sought.count += found.length;
    list.lastElementChild.remove();
    rows = [...rows.slice(0, last), ...rowsOf(found)];
    at = Math.min(at, Math.max(rows.length - 1, 0));
    list.append(...nodesOf(rows, last, take));
    tell();
  };
  input.addEventListener("input", seek);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.isComposing || (!step && event.key !== "Enter")) return;
    event.preventDefault();
    if (!step) return take(at);
    at = (at + step + rows.length) % Math.max(rows.length, 1);
    pointAt(list, input, at);
  });
  list.addEventListener("scroll", () => {
    if (list.scrollTop + list.clientHeight > list.scrollHeight - NEAR_END) further();
  });
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
  seek();
}

/** What went wrong, in a sentence; `isTheirs` where the query is what is wrong. */
function problemOf({ status, detail }) {
  const isTheirs = status === 422;
  const text = isTheirs ? detail.replace(/^Value error, /, "") : status === 503 ? detail : w.failed;
  return { isTheirs, text: text || w.failed };
}

/** Finds as rows, each kind in one place, and a last one that fetches more if there may be. */
function rowsOf(found) {
  const more = { group: w.more, icon: "search", label: w.more, isMore: true };
  return [...byKind(found.map(resultRow)), ...(found.length < PAGE ? [] : [more])];
}

/** In the place of options: a list of them may not be without any. */
const note = (text) => el("li", { role: "option", "aria-disabled": "true", class: "list-note" }, text);

/** The rows from `first` on, with a heading before each kind. */
function nodesOf(rows, first, take) {
  return rows.slice(first).flatMap((row, k) => {
    const i = first + k;
    const heading = el("li", { role: "presentation", class: "options-heading" }, row.group);
    const node = rowNode(row, i, () => take(i));
    return row.isMore || row.group === rows[i - 1]?.group ? [node] : [heading, node];
  });
}

/** Marks the row that Enter takes. */
function pointAt(list, input, at) {
  const options = list.querySelectorAll("[role=option]:not([aria-disabled])");
  options.forEach((node, i) => {
    node.toggleAttribute("data-active", i === at);
    node.setAttribute("aria-selected", String(i === at));
  });
  options[at]?.scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", options[at]?.id ?? "");
}

/** Every place there is and every act. Parts of a place are found by name only, or they would crowd out the rest. */
function commandsFor({ newConversation, showShortcuts, signOut }) {
  const isAdmin = current().user.role === "admin";
  const pages = ["library", "settings", "usage", ...(isAdmin ? ["admin"] : [])];
  const page = (name) => ({ label: words[name].heading, icon: name, run: () => go(pageAddress(name)) });
  const parts = (name) =>
    Object.entries(words[name].sections ?? {}).map(([section, label]) => ({
      label: w.part(words[name].heading, label),
      icon: name,
      isPart: true,
      run: () => go(pageAddress(name, section)),
    }));
  const themes = Object.entries(words.settings.themes).map(([theme, label]) => ({
    label: w.part(words.settings.theme, label),
    icon: "settings",
    isPart: true,
    run() {
      const { theme: _, ...look } = applyLook();
      setLook(theme === "system" ? look : { ...look, theme });
    },
  }));
  const commands = [
    { label: words.newConversation, icon: "new", run: newConversation },
    ...pages.map(page),
    { label: words.shortcuts.heading, icon: "keyboard", run: showShortcuts },
    { label: words.menu.signOut, icon: "leave", run: signOut },
    ...pages.flatMap(parts),
    ...themes,
  ];
  return commands.map((command) => ({ ...command, group: w.commands }));
}

const recent = () =>
  current()
    .list.chats.slice(0, 8)
    .map(({ id, title, updated_at: at }) => ({
      group: w.recent,
      icon: "chat",
      label: title || words.untitled,
      when: at,
      run: () => go(address(id)),
    }));

/** Each kind in one place, in the order in which the best of each was found. */
const byKind = (rows) => [...Map.groupBy(rows, ({ group }) => group).values()].flat();

/** One find of the server: where it is, and the words around what was sought. */
function resultRow({
  kind,
  chat_id: chatId,
  message_id: messageId,
  document_id: documentId,
  title,
  snippet,
  created_at: created,
  updated_at: updated,
}) {
  const isDocument = kind === "document";
  const to = isDocument ? pageAddress("library", String(documentId)) : address(chatId);
  // A title that was found is its own snippet.
  const around = kind === "conversation" ? null : snippet;
  return {
    group: w.kinds[kind] ?? w.results,
    icon: isDocument ? "file" : "chat",
    label: title || words.untitled,
    snippet: around,
    when: updated ?? created,
    run: () => (update({ sought: messageId ?? null }), go(to)),
  };
}

function rowNode({ icon: name, label, snippet, when }, i, take) {
  return el(
    "li",
    { id: `found-${i}`, role: "option", onclick: take },
    icon(name),
    el(
      "span",
      { class: "option-text" },
      el("span", { class: "option-name", dir: "auto" }, label),
      snippet ? el("span", { class: "option-about", dir: "auto" }, ...highlighted(snippet)) : null,
    ),
    when ? el("span", { class: "option-when" }, ago(when)) : null,
  );
}

/** The pieces of a snippet: those that were sought for are marked. */
const highlighted = (pieces) => pieces.map(({ text, is_match: isMatch }) => (isMatch ? el("mark", null, text) : text));
