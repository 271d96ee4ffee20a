// The one place where text becomes markup, and only text that the server has rendered and sanitised. What comes out is
// dressed for the page: code gets a header, tables a box of their own to scroll in. Copying, the way back to text, is here too.

import { el, icon } from "./dom.js";
import { words } from "./lang/en.js";

const w = words.code;
const policy = globalThis.trustedTypes?.createPolicy("fireside", { createHTML: (html) => html }) ?? {
  createHTML: (html) => html,
};

/**
 * Shows `html`, which the server has made, in `node`. What is there already and stays the same is left alone: a block that
 * grows keeps what is selected in it, how far its code is scrolled and whether that wraps. `[1]` and the like become links to
 * what `cite` names by their number.
 */
export function showHtml(node, html, cite) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  dress(template.content);
  if (cite) linkCitations(template.content, cite);
  liken(node, template.content);
}

/** Makes the children of `old` those of `fresh`, changing as little as may be. */
function liken(old, fresh) {
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  after.forEach((node, i) => {
    const known = before[i];
    if (!known) old.append(node);
    else if (known.nodeName !== node.nodeName) known.replaceWith(node);
    else if (node.nodeType === Node.TEXT_NODE) likenText(known, node.data);
    else likenElement(known, node);
  });
  for (const node of before.slice(after.length)) node.remove();
}

function likenText(node, text) {
  // Appending leaves a selection where it is.
  if (text.startsWith(node.data)) node.appendData(text.slice(node.data.length));
  else node.data = text;
}

function likenElement(old, fresh) {
  // The head of a code block holds buttons that somebody may have pressed; only its language can change.
  if (old.matches(".code-head")) return liken(old.firstChild, fresh.firstChild);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "data-wraps") old.removeAttribute(name);
  }
  liken(old, fresh);
}

/** Text in which brackets with a number are no citations. */
const LITERAL = "pre, code, a";

/** Makes links of the numbers in brackets that `cite` knows: it gives an address within the page, or null. */
function linkCitations(content, cite) {
  const texts = document.createTreeWalker(content, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) if (/\[\d+\]/.test(texts.currentNode.data)) found.push(texts.currentNode);
  for (const text of found) {
    if (text.parentElement?.closest(LITERAL)) continue;
    const pieces = text.data.split(/(\[\d+\])/).map((piece) => {
      const number = /^\[(\d+)\]$/.exec(piece)?.[1];
      const href = number && cite(Number(number));
      return href ? el("a", { class: "citation", href, "aria-label": words.sources.cited(number) }, number) : piece;
    });
    text.replaceWith(...pieces);
  }
}

function dress(content) {
  for (const pre of content.querySelectorAll("pre")) pre.replaceWith(codeBlock(pre));
  for (const table of content.querySelectorAll("table")) {
    const box = el("div", {
      class: "table-box",
      tabindex: "0",
      role: "region",
      "aria-label": words.conversation.table,
    });
    table.replaceWith(box);
    box.append(table);
  }
  for (const box of content.querySelectorAll("input[type=checkbox]")) {
    box.setAttribute("aria-label", box.checked ? words.conversation.ticked : words.conversation.unticked);
  }
  // What may be wider than the page scrolls, also by keyboard.
  for (const formula of content.querySelectorAll("code.display")) formula.tabIndex = 0;
  for (const link of content.querySelectorAll('a[href^="http"]')) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  // Each part of a text reads in its own direction; code in its own, always.
  for (const part of content.children) if (!part.dir) part.dir = "auto";
}

function codeBlock(pre) {
  const code = pre.querySelector("code");
  const language = code?.className.match(/language-([\w+#.-]+)/)?.[1] ?? "";
  const wrap = el(
    "button",
    { type: "button", class: "code-button", "aria-pressed": "false", title: w.wrap, "aria-label": w.wrap },
    icon("wrap"),
  );
  const copy = el("button", { type: "button", class: "code-button" }, icon("copy"), el("span", null, w.copy));
  const block = el(
    "div",
    { class: "code", dir: "ltr" },
    el("div", { class: "code-head" }, el("span", { class: "code-language" }, language), wrap, copy),
    pre.cloneNode(true),
  );
  block.lastChild.setAttribute("tabindex", "0");
  return block;
}

/**
 * Links within a message: to a footnote and back, to a source. They lead there without becoming a place in the browser's
 * history, where going back would mean going through all of them.
 */
export function listenForJumps(root) {
  root.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link) return;
    event.preventDefault();
    const target = document.getElementById(link.getAttribute("href").slice(1));
    if (!target || !root.contains(target)) return;
    if (target.matches("details")) target.open = true;
    target.scrollIntoView({ block: "nearest" });
    const focused = target.matches("details") ? target.querySelector("summary") : target;
    if (focused.tabIndex < 0) focused.tabIndex = -1;
    focused.focus({ preventScroll: true });
  });
}

/** The buttons of code blocks in `root`. One listener for all: blocks come and go while a reply is written. */
export function listenForCode(root) {
  root.addEventListener("click", async ({ target }) => {
    const button = target.closest?.(".code-button");
    if (!button) return;
    const block = button.closest(".code");
    if (button.hasAttribute("aria-pressed")) {
      const wraps = block.toggleAttribute("data-wraps");
      return button.setAttribute("aria-pressed", String(wraps));
    }
    const label = button.querySelector("span");
    const done = await copyText(block.querySelector("pre").textContent.replace(/\n$/, ""), block.querySelector("pre"));
    label.textContent = done ? w.copied : w.copyFailed;
    setTimeout(() => (label.textContent = w.copy), 1500);
  });
}

/** Puts `text`, which `node` shows, on the clipboard. True if the browser let it. */
export async function copyText(text, node) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
    // Where a server is reached over plain HTTP, browsers keep their clipboard API away and only this is left.
    getSelection().selectAllChildren(node);
    return document.execCommand("copy");
  } catch {
    return false;
  }
}
