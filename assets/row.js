// One row of the list of conversations: its name, what goes on in it, its menu, and the field that changes the name.

import { archive, endRename, pin, remove, rename, startRename } from "./conversations.js";
import { el, iconButton } from "./dom.js";
import { words } from "./lang/en.js";
import { openMenu } from "./overlay.js";
import { address } from "./router.js";
import { chatOf } from "./store.js";

const w = words.sidebar;
/** The longest name the server takes. */
const TITLE_CHARS_MAX = 200;

/** The row of `chat`; `mark` is "waiting", "fresh" or "". */
export function row(chat, { isOpen, isRenaming, mark }) {
  if (isRenaming) return el("li", { class: "row", "data-id": chat.id }, renameField(chat));
  const title = chat.title || words.untitled;
  const more = iconButton("more", w.more(title), { class: "icon-button row-more", "aria-haspopup": "menu" });
  more.addEventListener("click", () => openMenu(more, conversationMenu(chat.id, "list")));
  return el(
    "li",
    { class: "row", "data-id": chat.id },
    el(
      "a",
      { href: address(chat.id), title, "aria-current": isOpen ? "page" : null },
      el("span", { class: "row-title", dir: "auto" }, title),
      mark ? el("span", { class: `row-mark ${mark}`, role: "img", "aria-label": w[mark] }) : null,
    ),
    more,
  );
}

/** What can be done with the conversation `id`, for the menu of its row and of the top bar. */
export function conversationMenu(id, where) {
  const chat = chatOf(id);
  return [
    { icon: "rename", label: words.menu.rename, run: () => startRename(id, where) },
    { icon: "pin", label: chat.is_pinned ? words.menu.unpin : words.menu.pin, run: () => pin(id) },
    { icon: "archive", label: chat.is_archived ? words.menu.unarchive : words.menu.archive, run: () => archive(id) },
    {
      icon: "settings",
      label: words.menu.settings,
      run: async () => (await import("./chat-settings.js")).openChatSettings(id),
    },
    { icon: "delete", label: words.menu.delete, run: () => remove(id), danger: true },
  ];
}

/** The field that takes the place of a conversation's name while it is changed. */
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
      if (event.key === "Enter") {
        // What takes the focus next is not to be pressed by this key.
        event.preventDefault();
        end(true);
      }
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
