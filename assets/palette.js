// The palette: one field that finds conversations, messages and documents, and runs what the page can do.

import * as api from "./api.js";
import { applyLook, setLook } from "./app.js";
import { el, icon, place } from "./dom.js";
import { ago, words } from "./lang/en.js";
import { searchField } from "./overlay.js";
import { address, go, pageAddress } from "./router.js";
import { current, update } from "./store.js";

const w = words.palette;
const FOUND_MAX = 30;
/** After the last key, before the server is asked. */
const TYPING_MS = 120;

export function openPalette(acts) {
  const input = searchField(w.placeholder, "found");
  const list = el("ul", { id: "found", class: "options", role: "listbox", "aria-label": w.results });
  const status = el("p", { class: "unseen", role: "status" });
  const dialog = el(
    "dialog",
    { class: "dialog palette", "aria-label": w.heading, closedby: "any", onclose: () => dialog.remove() },
    el("header", null, icon("search"), input),
    list,
    status,
  );
  const commands = commandsFor(acts);
  let rows = [];
  let at = 0;
  let run = 0;

  const show = (found, problem = "") => {
    rows = found;
    at = 0;
    place(list, rows.length > 0 ? nodesOf(rows, take) : [note(problem || w.none)]);
    status.textContent = w.count(rows.length);
    point();
  };
  const point = () => pointAt(list, input, at);
  const take = (i) => {
    dialog.close();
    rows[i]?.run();
  };
  const seek = async () => {
    const text = input.value.trim();
    const mine = ++run;
    const fits = ({ label }) => label.toLowerCase().includes(text.toLowerCase());
    if (text === "") return show([...commands.filter(({ isPart }) => !isPart), ...recent()]);
    await new Promise((resolve) => setTimeout(resolve, TYPING_MS));
    if (mine !== run) return;
    const found = await api.search(text, FOUND_MAX).catch(() => null);
    if (mine !== run) return;
    const rest = found ? byKind(found.map(resultRow)) : recent().filter(fits);
    show([...commands.filter(fits), ...rest], found ? "" : w.failed);
  };
  input.addEventListener("input", seek);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.isComposing || (!step && event.key !== "Enter")) return;
    event.preventDefault();
    if (!step) return take(at);
    at = (at + step + rows.length) % Math.max(rows.length, 1);
    point();
  });
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
  seek();
}

const note = (text) => el("li", { role: "presentation", class: "list-note" }, text);

/** The rows with a heading before each kind. */
function nodesOf(rows, take) {
  return rows.flatMap((row, i) => {
    const heading = el("li", { role: "presentation", class: "options-heading" }, row.group);
    const node = rowNode(row, i, () => take(i));
    return row.group === rows[i - 1]?.group ? [node] : [heading, node];
  });
}

/** Marks the row that Enter takes. */
function pointAt(list, input, at) {
  const options = list.querySelectorAll("[role=option]");
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
