// The field that takes the place of a conversation's name while it is changed.

import { endRename, rename } from "./conversations.js";
import { el } from "./dom.js";
import { words } from "./lang/en.js";

/** The longest name the server takes. */
const TITLE_CHARS_MAX = 200;

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
