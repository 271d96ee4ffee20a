// The bar above the conversation: its name, what can be done with it, and the way to the sidebar.

import { el, icon, iconButton, place } from "./dom.js";
import { words } from "./lang/en.js";
import { openMenu } from "./overlay.js";
import { HOME } from "./router.js";
import { conversationMenu, renameField } from "./row.js";
import { toggleSidebar } from "./sidebar.js";
import { NEW, chatOf, isChat, openId, watch } from "./store.js";

export function topbar() {
  const open = iconButton("sidebar", words.sidebar.open, {
    class: "icon-button sidebar-open",
    onclick: toggleSidebar,
    "aria-controls": "sidebar",
  });
  const label = words.newConversation;
  const fresh = el(
    "a",
    { class: "icon-button topbar-new", href: HOME, "aria-label": label, title: label },
    icon("new"),
  );
  const title = el("h1", { tabindex: "-1", dir: "auto", onclick: () => title.toggleAttribute("data-whole") });
  const more = iconButton("more", "", { "aria-haspopup": "menu" });
  more.addEventListener("click", () => openMenu(more, conversationMenu(openId(), "topbar")));
  const bar = el("header", { class: "topbar" });

  const tune = iconButton("tune", words.chatSettings.heading, {
    onclick: async () => (await import("./chat-settings.js")).openChatSettings(openId()),
  });
  const offline = el("span", { class: "offline", role: "status" });

  const chat = (state) => chatOf(openId(state), state);
  const renaming = (state) => state.renaming?.where === "topbar" && state.renaming.id === openId(state);
  watch(
    (state) => [chat(state)?.title, openId(state), renaming(state), state.route, state.online],
    (state) => {
      const known = isChat(state) ? chat(state) : undefined;
      // The page needs a heading even where showing it would say nothing; pages have one of their own.
      title.hidden = !isChat(state);
      title.className = known ? "" : "unseen";
      title.textContent = known ? known.title || words.untitled : openId(state) === NEW ? label : words.product;
      // What does not fit is cut off: it is read by pointing at it, or unfolds when it is pressed.
      title.title = title.textContent;
      title.removeAttribute("data-whole");
      const name = words.sidebar.more(title.textContent);
      more.setAttribute("aria-label", name);
      more.title = name;
      offline.textContent = state.online ? "" : words.offline;
      const middle = renaming(state) ? [renameField(known)] : [title, ...(known ? [more] : [])];
      const hadField = bar.querySelector("input") !== null;
      place(bar, [open, ...middle, el("span", { class: "spacer" }), offline, ...(isChat(state) ? [tune] : []), fresh]);
      if (hadField && !renaming(state) && document.activeElement === document.body) more.focus();
    },
  );
  return bar;
}
