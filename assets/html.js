// The one place where text becomes markup, and only text that the server has rendered and sanitised. What comes out is
// dressed for the page: code gets a header, tables a box of their own to scroll in. Copying, the way back to text, is here too.

import { el, icon } from "./dom.js";
import { words } from "./lang/en.js";

const w = words.code;
const policy = globalThis.trustedTypes?.createPolicy("fireside", { createHTML: (html) => html }) ?? {
  createHTML: (html) => html,
};

/** Shows `html`, which the server has made, in `node`. */
export function showHtml(node, html) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  dress(template.content);
  node.replaceChildren(template.content);
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
  for (const link of content.querySelectorAll('a[href^="http"]')) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
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
    { class: "code" },
    el("div", { class: "code-head" }, el("span", { class: "code-language" }, language), wrap, copy),
    pre.cloneNode(true),
  );
  block.lastChild.setAttribute("tabindex", "0");
  return block;
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
