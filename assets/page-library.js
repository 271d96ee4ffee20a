// The library page: the documents that replies may draw on. Adding, reading, filtering and deleting them.

import * as api from "./api.js";
import { el, icon, iconButton, place, takeDrops } from "./dom.js";
import { field, fold, formOf, showProgress } from "./fields.js";
import { ago, bytes, words } from "./lang/en.js";
import { loading, pageFrame } from "./pages.js";
import { pageAddress } from "./router.js";
import { toast } from "./overlay.js";
import { settleAll, undoable } from "./undoable.js";

const w = words.library;
/** What the server finds at most. */
const FOUND_MAX = 100;
/** After the last key, before the server is asked. */
const TYPING_MS = 120;

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
  const filter = el("input", { class: "filter", type: "search", placeholder: w.search, "aria-label": w.search });
  const tools = el("div", { class: "list-tools" }, filter, count);
  /** Rows are kept by their document: one that is hidden, waiting to be deleted, stays so. */
  const rows = new Map();
  let documents = [];
  let total = 0;
  const page = async (offset) => {
    const found = await api.documents(offset);
    documents = offset === 0 ? found.documents : [...documents, ...found.documents];
    total = found.total;
    return documents;
  };
  const more = () =>
    el(
      "button",
      { type: "button", class: "quiet-button", onclick: () => page(documents.length).then(redraw, failed) },
      w.more,
    );
  const failed = () => toast({ text: w.failed });
  const draw = (shown) => {
    tools.hidden = total === 0;
    count.textContent = w.documents(total);
    if (total === 0) return el("p", { class: "list-note" }, w.empty);
    if (shown.length === 0) return el("p", { class: "list-note" }, w.emptySearch);
    for (const one of shown) if (!rows.has(one.id)) rows.set(one.id, documentRow(one));
    const nodes = shown.map(({ id }) => rows.get(id));
    const isWhole = filter.value.trim() !== "" || documents.length >= total;
    return [el("ul", { class: "rows", role: "list" }, nodes), isWhole ? null : more()];
  };
  const show = (shown) => place(list, [draw(shown)].flat().filter(Boolean));
  const redraw = () => show(documents);
  const again = loading(list, () => page(0), draw, w.failed);
  const seek = seeking(filter, () => documents);
  filter.addEventListener("input", async () => {
    const shown = await seek().catch(failed);
    if (shown) show(shown);
  });
  return pageFrame(w.heading, w.lead, adding(again, signal), tools, list);
}

/** A function that gives the documents that `filter` asks for, by name or by what is in them; null if it asks anew meanwhile. */
function seeking(filter, listed) {
  let run = 0;
  return async () => {
    const mine = ++run;
    const text = filter.value.trim();
    if (text === "") return listed();
    await new Promise((resolve) => setTimeout(resolve, TYPING_MS));
    if (mine !== run) return null;
    // Here a colon makes no filter: the box is about documents alone, and half of `before:2026` would be refused.
    const hits = await api.search(`in:documents ${text.replaceAll(":", " ")}`, FOUND_MAX);
    if (mine !== run) return null;
    const sought = text.toLowerCase();
    const named = listed().filter(({ title, author, source }) =>
      [title, author, source].some((words) => words?.toLowerCase().includes(sought)),
    );
    const found = hits
      .map(({ document_id: id, title }) => listed().find((one) => one.id === id) ?? { id, title });
    return [...new Map([...named, ...found].map((one) => [one.id, one])).values()];
  };
}

function documentRow({ id, title, author, source, size, chunk_count: parts, created_at: created }) {
  const about = [author, source, size != null && bytes(size), parts != null && w.parts(parts), created && ago(created)]
    .filter(Boolean)
    .join(" · ");
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
  // One after the other: what cannot be read keeps nothing else out, and each failure is about a file.
  const add = async (files) => {
    const said = [];
    let added = 0;
    bar.hidden = false;
    for (const [i, file] of files.entries()) {
      status.textContent = w.uploading(file.name);
      bar.setAttribute("aria-label", w.uploading(file.name));
      try {
        const came = await api.uploadDocuments([file], (part) => showProgress(bar, (i + part) / files.length));
        added += came.documents.length;
        said.push(...came.skipped.map(({ title, reason }) => w.skipped(title, reason)));
      } catch (error) {
        const reason = error.detail || w.addFailed;
        said.push(reason.includes(file.name) ? reason : w.skipped(file.name, reason));
      }
    }
    bar.hidden = true;
    const lines = added > 0 || said.length === 0 ? [w.added(added), ...said] : said;
    status.replaceChildren(...lines.map((text) => el("span", { class: "line" }, text)));
    again();
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
  takeDrops(signal, { isWanted: () => zone.isConnected, over, take: add });
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
  return fold(w.write, formOf([title, text], { label: words.save, save }));
}

/** A document; `#passage-3` in the address shows that passage of it, which is how a quotation names its source. */
function oneDocument(id) {
  const text = el("div", { class: "document-text" });
  const frame = pageFrame(w.heading, "", text);
  frame.prepend(el("p", null, el("a", { class: "way-back", href: pageAddress("library") }, icon("previous"), w.back)));
  const draw = ({ title, author, source, passages }) => {
    frame.querySelector("h1").textContent = title;
    document.title = words.title(title);
    const about = [author, source].filter(Boolean).join(" · ");
    // Once it stands in the page.
    queueMicrotask(() => showPassage(text));
    return [
      about ? el("p", { class: "hint", dir: "auto" }, about) : null,
      el(
        "div",
        { class: "plain-text", dir: "auto" },
        passages.map(({ position, text: words }) =>
          el("span", { class: "passage", id: `passage-${position}`, tabindex: "-1" }, words),
        ),
      ),
    ];
  };
  loading(text, () => api.readPassages(id), draw, w.gone);
  return frame;
}

function showPassage(text) {
  const passage = location.hash.startsWith("#passage-") && text.querySelector(location.hash);
  if (!passage) return;
  passage.setAttribute("aria-current", "true");
  passage.scrollIntoView({ block: "center" });
  passage.focus({ preventScroll: true });
}
