// One message: what was said and with which files, quietly what became of it and what it cost, and what can be done with it.

import * as api from "./api.js";
import { el, grow, icon, iconButton, memo, place } from "./dom.js";
import { copyText, showHtml } from "./html.js";
import { bytes, cost, shortModel, time, words } from "./lang/en.js";
import { openMenu } from "./overlay.js";
import { sends } from "./shortcuts.js";
import { current, openId, update } from "./store.js";
import { edit, endEdit, regenerate, remove, resume, startEdit, turnTo } from "./turns.js";

const w = words.conversation;
const COPIED_MS = 1500;

/**
 * The node of one message, with `update(message, { live, editing, busy })`: `live` is the state of its reply while that is
 * written; while the thread is `busy`, nothing else can be asked of it.
 */
export function messageItem() {
  const node = el("li", { class: "message" });
  const heading = el("h2", { class: "unseen" });
  const text = textPart();
  const parts = {
    files: memo(filesPart),
    reasoning: reasoningPart(),
    tools: memo(toolsPart),
    note: memo(notePart),
    sources: memo(sourcesPart),
    actions: memo(actionsPart),
  };
  const room = el("div", { class: "actions" });
  let field = null;
  const show = (message, { live, editing, busy }) => {
    const own = message.role === "user";
    const shown = live ?? message;
    node.classList.toggle("own", own);
    node.toggleAttribute("data-live", Boolean(live));
    heading.textContent = own ? w.you : w.reply;
    // Made anew for each edit, and kept while that lasts.
    field = own && editing ? (field ?? editField(message)) : null;
    if (field) return place(node, [heading, parts.files(message.attachments), field].filter(Boolean));
    text.update(message, live);
    place(
      node,
      [
        heading,
        parts.files(message.attachments),
        parts.reasoning(shown.reasoning, Boolean(live), Boolean(shown.text)),
        parts.tools(live?.tools ?? message.tool_calls),
        text.node,
        live ? null : parts.note(message),
        live ? null : parts.sources(message),
        // A question keeps the room of its actions until it has them, or the reply below it would move.
        live || message.id === null ? (own ? room : null) : parts.actions(message, text.node, busy),
      ].filter(Boolean),
    );
  };
  return { node, update: show };
}

/** The text: as it was written for one's own, rendered for a reply; while it comes, block by block. */
function textPart() {
  const node = el("div", { class: "text", dir: "auto" });
  let shown = { html: null, blocks: [] };
  const showBlocks = (blocks, cite) => {
    if (shown.html !== null) node.replaceChildren();
    blocks.forEach((html, i) => {
      if (html === shown.blocks[i]) return;
      while (node.children.length <= i) node.append(el("div", { class: "block" }));
      showHtml(node.children[i], html ?? "", cite);
    });
    while (node.children.length > blocks.length) node.lastChild.remove();
    shown = { html: null, blocks };
  };
  const update = (message, live) => {
    node.hidden = !(live ? live.text || live.blocks.length : message.text);
    const isRendered = message.role !== "user" && (live ? live.blocks.length > 0 : message.html != null);
    node.classList.toggle("plain", !isRendered);
    if (!isRendered) {
      const plain = live ? live.text : message.text;
      if (node.textContent !== plain || node.firstElementChild) node.textContent = plain;
      shown = { html: "", blocks: [] };
    } else if (live) {
      showBlocks(live.blocks);
    } else if (shown.html !== message.html && (message.sources || !isSame(shown.blocks, message.html))) {
      showBlocks([message.html], citing(message));
      shown = { html: message.html, blocks: [] };
    }
  };
  return { node, update };
}

/** The id that a source has on the page, where many messages have some. */
const sourceId = (messageId, number) => `source-${messageId}-${number}`;

/** Where a citation leads: to one of the message's sources. */
const citing =
  ({ id, sources }) =>
  (number) =>
    sources?.[number - 1] ? `#${sourceId(id, number)}` : null;

/** Whether the blocks are already the whole: then nothing is drawn anew when a reply ends, and a selection stays. */
const isSame = (blocks, html) => blocks.length > 0 && squeezed(blocks.join("")) === squeezed(html);
const squeezed = (html) => html.replace(/\s+/g, "");

function filesPart(attachments) {
  if (!attachments?.length) return null;
  return el(
    "ul",
    { class: "files", role: "list", "aria-label": words.files.label },
    attachments.map((file) => el("li", null, fileItem(file))),
  );
}

function fileItem({ id, filename, content_type: type, size, preview }) {
  const url = id === null ? preview : api.attachmentUrl(id);
  if (/^image\/(png|jpeg|gif|webp)$/.test(type) && url) {
    const show = async () => (await import("./attachments.js")).showImage(url, filename);
    return el(
      "button",
      { type: "button", class: "thumb", title: filename, "aria-label": words.files.show(filename), onclick: show },
      el("img", { src: url, alt: "", loading: "lazy" }),
    );
  }
  const about = [el("span", { class: "file-name" }, filename), el("span", { class: "file-size" }, bytes(size))];
  return url
    ? el("a", { class: "file", href: url, download: filename }, icon("file"), about)
    : el("span", { class: "file" }, icon("file"), about);
}

/** What a model thought before it spoke, folded away. Opened by hand it stays open while more comes. */
function reasoningPart() {
  const label = el("span");
  const text = el("div", { class: "reasoning-text", dir: "auto" });
  const node = el("details", { class: "reasoning" }, el("summary", null, icon("chevron"), label), text);
  return (reasoning, isLive, hasText) => {
    if (!reasoning) return null;
    label.textContent = isLive && !hasText ? w.reasoningNow : w.reasoning;
    node.toggleAttribute("data-now", isLive && !hasText);
    if (text.textContent !== reasoning) text.textContent = reasoning;
    return node;
  };
}

function toolsPart(tools) {
  if (!tools?.length) return null;
  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  return el(
    "div",
    { class: "tools" },
    tools.map(({ name, arguments: given, result }) =>
      el(
        "details",
        { class: "reasoning tool" },
        el("summary", null, icon("chevron"), w.tool(name)),
        el("pre", null, shown(given ?? {})),
        result === undefined || result === null ? null : el("pre", null, shown(result)),
      ),
    ),
  );
}

/** What the reply drew on. Its file comes when the first reply with sources does. */
function sourcesPart({ id, sources }) {
  if (!sources?.length) return null;
  const node = el("section", { class: "sources", "aria-label": words.sources.heading });
  import("./sources.js").then(({ showSources }) => showSources(node, sources, (number) => sourceId(id, number)));
  return node;
}

function notePart({ role, state, error }) {
  const note = role === "user" ? null : w.states[state];
  // What was stopped on purpose needs no further reason.
  return note ? el("p", { class: "state" }, error && state !== "stopped" ? `${note} ${w.reason(error)}` : note) : null;
}

function actionsPart(message, text, busy) {
  const own = message.role === "user";
  const isCut = !own && ["interrupted", "stopped", "failed"].includes(message.state);
  const act = (name, label, run) => iconButton(name, label, { class: "icon-button small", onclick: run });
  const id = openId();
  return el(
    "div",
    { class: "actions" },
    message.siblings?.length > 1 ? branches(id, message, busy) : null,
    message.text === "" ? null : copyButton(text, message.text),
    own && !busy ? act("rename", w.edit, () => startEdit(message.key)) : null,
    own || busy ? null : againButton(id, message),
    isCut && !busy
      ? el(
          "button",
          { type: "button", class: "small-button", onclick: () => resume(id, message) },
          icon("play"),
          w.resume,
        )
      : null,
    busy ? null : act("delete", w.delete, () => remove(id, message)),
    el("span", { class: "about" }, aboutOf(message)),
  );
}

/** What a reply was made by and what it cost, then when. */
function aboutOf(message) {
  const spent = message.role === "user" ? null : cost(message);
  const when = el("time", { datetime: message.created_at }, time(message.created_at));
  const parts = [
    message.role === "user" || !message.model ? null : el("span", { title: message.model }, shortModel(message.model)),
    spent,
    when,
  ];
  return parts.filter(Boolean).flatMap((part, i) => (i === 0 ? [part] : [" · ", part]));
}

function branches(id, { id: messageId, siblings: ids }, busy) {
  const at = ids.indexOf(messageId);
  const turn = (name, label, to) =>
    iconButton(name, label, {
      class: "icon-button small",
      disabled: busy || to === undefined,
      onclick: () => turnTo(id, to),
    });
  return el(
    "span",
    { class: "branches", role: "group", "aria-label": w.branches },
    turn("previous", w.previousBranch, ids[at - 1]),
    el("span", null, w.branch(at + 1, ids.length)),
    turn("next", w.nextBranch, ids[at + 1]),
  );
}

function againButton(id, message) {
  const button = iconButton("again", w.again, { class: "icon-button small", "aria-haspopup": "menu" });
  const withModel = async () => {
    const { pickModel } = await import("./model-picker.js");
    const model = await pickModel(message.model);
    if (model) regenerate(id, message, model);
  };
  const entries = [
    { icon: "again", label: w.tryAgain, run: () => regenerate(id, message) },
    { icon: "models", label: w.tryModel, run: withModel },
  ];
  button.addEventListener("click", () => openMenu(button, entries));
  return button;
}

/** The field that takes a message's place while it is edited. */
function editField(message) {
  const input = el("textarea", { class: "edit-text", rows: "1", "aria-label": w.edit, dir: "auto" });
  input.value = current().edited || message.text;
  const send = () => {
    const text = input.value.trim();
    endEdit();
    if (text !== "" && text !== message.text) edit(openId(), message, text);
  };
  input.addEventListener("input", () => {
    grow(input);
    // Whoever looks at another conversation meanwhile finds it as it was.
    update({ edited: input.value });
  });
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      endEdit();
    } else if (sends(event)) {
      event.preventDefault();
      send();
    }
  });
  queueMicrotask(() => {
    grow(input);
    input.focus({ preventScroll: true });
    input.scrollIntoView({ block: "nearest" });
  });
  return el(
    "div",
    { class: "edit" },
    input,
    el("p", { class: "hint" }, w.editHint),
    el(
      "div",
      { class: "edit-actions" },
      el("button", { type: "button", class: "button quiet", onclick: endEdit }, words.cancel),
      el("button", { type: "button", class: "button", onclick: send }, w.editSend),
    ),
  );
}

function copyButton(node, content) {
  const button = iconButton("copy", w.copy, { class: "icon-button small" });
  const say = (name, label) => {
    button.replaceChildren(icon(name));
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  button.addEventListener("click", async () => {
    if (await copyText(content, node)) say("done", w.copied);
    else say("close", w.copyFailed);
    setTimeout(() => say("copy", w.copy), COPIED_MS);
  });
  return button;
}
