// One message: what was said, quietly what became of it, and what can be done with it.

import { el, icon, iconButton } from "./dom.js";
import { time, words } from "./lang/en.js";

const w = words.conversation;
const COPIED_MS = 1500;

export function messageItem({ role, content, state, created_at }) {
  const own = role === "user";
  const text = el("div", { class: "text", dir: "auto" }, content);
  const note = own ? null : w.states[state];
  return el(
    "li",
    { class: own ? "message own" : "message" },
    el("h2", { class: "unseen" }, own ? w.you : w.reply),
    content === "" ? null : text,
    note ? el("p", { class: "state" }, note) : null,
    content === "" ? null : el("div", { class: "actions" }, copyButton(text, content), el("time", { datetime: created_at }, time(created_at))),
  );
}

/** What makes a message look different, to be compared. */
export const looks = ({ content, state }) => `${state}\n${content}`;

function copyButton(node, content) {
  const button = iconButton("copy", w.copy);
  const say = (name, label) => {
    button.replaceChildren(icon(name));
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  button.addEventListener("click", async () => {
    try {
      if (navigator.clipboard) await navigator.clipboard.writeText(content);
      else copySelected(node);
      say("done", w.copied);
    } catch {
      say("close", w.copyFailed);
    }
    setTimeout(() => say("copy", w.copy), COPIED_MS);
  });
  return button;
}

/** Where a server is reached over plain HTTP, browsers keep their clipboard API away and only this is left. */
function copySelected(node) {
  getSelection().selectAllChildren(node);
  if (!document.execCommand("copy")) throw new Error("refused");
}
