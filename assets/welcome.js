// What stands where a conversation will be: a greeting, and for those who begin what there is to talk to and how to get
// more of it.

import { choose } from "./conversations.js";
import { el, icon } from "./dom.js";
import { write } from "./drafts.js";
import { words } from "./lang/en.js";
import { pageAddress } from "./router.js";
import { NEW } from "./store.js";

const w = words.welcome;
const BUILT_IN = ["echo", "library"];

/** `models` is what the server says of them; `isFirst` says that there is no conversation yet. */
export function welcome(isFirst, isAdmin, models) {
  const mark = icon("mark");
  mark.classList.add("mark");
  const hasModel = (models?.available ?? models?.chat ?? []).some((name) => !BUILT_IN.includes(name));
  const lead = hasModel ? w.hint : isAdmin ? w.noModels : w.noModelsYet;
  return el(
    "div",
    { class: "welcome" },
    mark,
    el("p", { class: "greeting" }, w.greeting(new Date().getHours())),
    el("p", { class: "lead" }, lead),
    isFirst || !hasModel ? connected(models?.providers ?? [], isAdmin) : null,
    hasModel ? isFirst && suggestions() : ways(isAdmin),
  );
}

/** Which providers are configured, and how each of them is. */
function connected(providers, isAdmin) {
  if (providers.length === 0) return null;
  const one = ({ name, state, reason, models }) =>
    el(
      "li",
      { "data-state": state, title: state === "down" ? reason : null },
      el("span", { class: "provider-name", dir: "auto" }, name),
      " ",
      w.states[state](models.length),
    );
  return el(
    "ul",
    { class: "connected", role: "list", "aria-label": w.connected },
    providers.map(one),
    isAdmin ? el("li", null, el("a", { class: "link", href: pageAddress("admin", "providers") }, w.change)) : null,
  );
}

/** Something to begin with: pressing one puts it into the composer, to be sent or changed. */
function suggestions() {
  return el(
    "ul",
    { class: "suggestions", role: "list" },
    w.suggestions.map((text) =>
      el("li", null, el("button", { type: "button", class: "quiet-button", onclick: () => take(text) }, text)),
    ),
  );
}

function take(text) {
  write(NEW, text);
  document.querySelector("#message").focus();
}

/** What can be done before there is a model. */
function ways(isAdmin) {
  const all = [
    isAdmin ? ["key", w.connect, { href: pageAddress("admin", "providers") }] : null,
    ["chat", w.tryEcho, { onclick: () => (choose(NEW, { model: "echo" }), take(w.tryEcho.text)) }],
    ["library", w.tryLibrary, { href: pageAddress("library"), onclick: () => choose(NEW, { model: "library" }) }],
  ];
  return el(
    "ul",
    { class: "beginnings", role: "list" },
    all.filter(Boolean).map(([name, { label, about }, props]) => {
      const content = [icon(name), el("span", { class: "beginning-name" }, label), el("span", { class: "beginning-about" }, about)];
      const tag = props.href ? "a" : "button";
      return el("li", null, el(tag, { class: "beginning", type: tag === "button" && tag, ...props }, content));
    }),
  );
}
