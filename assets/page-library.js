// The library page: the documents that replies may draw on. Adding, reading, filtering and deleting them.

import * as api from "./api.js";
import { el, icon, iconButton, place } from "./dom.js";
import { field, formOf } from "./fields.js";
import { ago, bytes, words } from "./lang/en.js";
import { loading, pageFrame } from "./pages.js";
import { pageAddress } from "./router.js";
import { toast } from "./overlay.js";
import { settleAll, undoable } from "./undoable.js";

const w = words.library;

export function mount(host, signal) {
  signal.addEventListener("abort", settleAll);
  return (section) => {
    settleAll();
    host.replaceChildren(section ? oneDocument(section) : allDocuments(signal));
    host.scrollTop = 0;
    host.querySelector("h1").focus({ preventScroll: true });
  };
}

function allDocuments(signal) {
  const list = el("div", { class: "list-box" });
  const count = el("span", { class: "hint" });
  let documents = [];
  const rows = new Map();
  const filter = el("input", { class: "filter", type: "search", placeholder: w.search, "aria-label": w.search });
  const draw = (total) => {
    const sought = filter.value.trim().toLowerCase();
    const shown = documents.filter(({ title, author, source }) =>
      [title, author, source].some((text) => text?.toLowerCase().includes(sought)),
    );
    count.textContent = w.documents(total);
    if (documents.length === 0) return el("p", { class: "list-note" }, w.empty);
    if (shown.length === 0) return el("p", { class: "list-note" }, w.emptySearch);
    for (const one of shown) if (!rows.has(one.id)) rows.set(one.id, documentRow(one));
    const more =
      documents.length < total
        ? el("button", { type: "button", class: "quiet-button", onclick: () => next() }, w.more)
        : null;
    return [
      el(
        "ul",
        { class: "rows", role: "list" },
        shown.map(({ id }) => rows.get(id)),
      ),
      more,
    ];
  };
  let known = 0;
  const page = async (offset) => {
    const { documents: found, total } = await api.documents(offset);
    documents = offset === 0 ? found : [...documents, ...found];
    return (known = total);
  };
  const again = loading(list, () => page(0), draw, w.failed);
  const redraw = () => place(list, [draw(known)].flat().filter(Boolean));
  const next = async () => {
    try {
      await page(documents.length);
      redraw();
    } catch {
      toast({ text: w.failed });
    }
  };
  filter.addEventListener("input", redraw);
  return pageFrame(w.heading, w.lead, adding(again, signal), el("div", { class: "list-tools" }, filter, count), list);
}

function documentRow({ id, title, author, source, size, chunk_count: parts, created_at: created }) {
  const about = [author, source, bytes(size), w.parts(parts), ago(created)].filter(Boolean).join(" · ");
  const remove = () =>
    undoable({
      text: w.deleted(title),
      hide: () => (row.hidden = true),
      show: () => (row.hidden = false),
      act: () => api.deleteDocument(id),
    });
  const row = el(
    "li",
    null,
    icon("file"),
    el(
      "div",
      { class: "row-text" },
      el("a", { href: pageAddress("library", id), dir: "auto" }, title),
      el("span", { class: "hint", dir: "auto" }, about),
    ),
    iconButton("delete", w.delete(title), { onclick: remove }),
  );
  return row;
}

/** Files by button or dropped, and a note written here. */
function adding(again, signal) {
  const picker = el("input", {
    type: "file",
    multiple: true,
    hidden: true,
    accept: ".txt,.md,.markdown,.pdf,.json,.csv,.html,.rst,.org,text/*",
  });
  const bar = el("progress", { max: "1", hidden: true });
  const status = el("p", { class: "hint", role: "status" });
  const add = async (files) => {
    if (files.length === 0) return;
    const names = files.map(({ name }) => name).join(", ");
    status.textContent = w.uploading(names);
    bar.setAttribute("aria-label", w.uploading(names));
    bar.hidden = false;
    try {
      told(await api.uploadDocuments(files, (part) => (part < 1 ? (bar.value = part) : bar.removeAttribute("value"))));
    } catch (error) {
      status.textContent = w.addFailed(error.detail);
    }
    bar.hidden = true;
    again();
  };
  const told = ({ documents, skipped }) => {
    status.replaceChildren(
      ...[w.added(documents.length), ...skipped.map(({ title, reason }) => w.skipped(title, reason))].map((text) =>
        el("span", { class: "line" }, text),
      ),
    );
  };
  picker.addEventListener("change", () => {
    const files = [...picker.files];
    picker.value = "";
    add(files);
  });
  const zone = el(
    "div",
    { class: "drop-zone" },
    el("button", { type: "button", class: "button", onclick: () => picker.click() }, icon("upload"), w.add),
    el("span", { class: "hint" }, w.drop),
    picker,
    bar,
    status,
  );
  const over = (on) => zone.toggleAttribute("data-over", on);
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files") && zone.isConnected;
  addEventListener("dragover", (event) => hasFiles(event) && (event.preventDefault(), over(true)), { signal });
  addEventListener("dragleave", (event) => event.relatedTarget === null && over(false), { signal });
  addEventListener(
    "drop",
    (event) => {
      over(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      add([...event.dataTransfer.files]);
    },
    { signal },
  );
  return el("div", { class: "adding" }, zone, note(again));
}

function note(again) {
  const title = field(w.noteTitle, { id: "note-title", name: "title", required: true, maxlength: "300" });
  const text = field(w.noteText, { id: "note-text", name: "content", required: true, rows: "6" }, { tag: "textarea" });
  const save = async () => {
    await api.addDocument(title.input.value.trim(), text.input.value);
    for (const { input } of [title, text]) input.value = "";
    again();
  };
  return el(
    "details",
    { class: "table-fold" },
    el("summary", null, w.write),
    formOf([title, text], { label: words.save, save }),
  );
}

function oneDocument(id) {
  const text = el("div", { class: "document-text" });
  const frame = pageFrame(w.heading, "", text);
  frame.prepend(el("p", null, el("a", { class: "way-back", href: pageAddress("library") }, icon("previous"), w.back)));
  const draw = ({ title, author, source, content }) => {
    frame.querySelector("h1").textContent = title;
    const about = [author, source].filter(Boolean).join(" · ");
    return [
      about ? el("p", { class: "hint", dir: "auto" }, about) : null,
      el("div", { class: "plain-text", dir: "auto" }, content),
    ];
  };
  loading(text, () => api.readDocument(id), draw, w.gone);
  return frame;
}
