// What pages such as the settings have in common: the frame with its heading and sections, lists that load, and the files
// of each page, which come when it is first asked for.

import { addFiles } from "./app.js";
import { el } from "./dom.js";
import { words } from "./lang/en.js";
import { toast } from "./overlay.js";
import { pageAddress } from "./router.js";
import { settleAll } from "./undoable.js";

const FILES = {
  settings: () => import("./page-settings.js"),
  usage: () => import("./page-usage.js"),
  library: () => import("./page-library.js"),
  admin: () => import("./page-admin.js"),
};

let styled = null;

/** The module of a page, whose `mount(host, signal)` fills `host` and returns what is to be called with each section. */
export async function pageFor(page) {
  styled ??= addFiles("page-files");
  styled.catch(() => (styled = null));
  const [module] = await Promise.all([FILES[page](), styled]);
  return module;
}

/** A page without sections: its heading, a sentence on what it is, and what is on it. */
export function pageFrame(heading, lead, ...content) {
  return el(
    "div",
    { class: "page" },
    el(
      "header",
      { class: "page-head" },
      el("h1", { tabindex: "-1" }, heading),
      lead ? el("p", { class: "lead" }, lead) : null,
    ),
    content,
  );
}

/**
 * A page of sections, each with an address. `makers` gives for each name a function of a signal that makes its nodes.
 * The result is called with the section's name, as the address has it.
 */
export function sectioned(host, page, { makers, names, heading }) {
  const links = Object.keys(makers).map((name) =>
    el("a", { href: pageAddress(page, name), "data-section": name }, names[name]),
  );
  const content = el("div", { class: "page-content" });
  const frame = pageFrame(
    heading,
    "",
    el("div", { class: "sectioned" }, el("nav", { class: "sections", "aria-label": heading }, links), content),
  );
  host.replaceChildren(frame);
  let life = new AbortController();
  let shown = null;
  return (section) => {
    const isThere = Object.hasOwn(makers, section);
    if (!isThere) {
      toast({ text: words.noPage });
      history.replaceState(null, "", pageAddress(page));
    }
    const name = isThere ? section : "";
    if (name === shown) return;
    shown = name;
    settleAll();
    life.abort();
    life = new AbortController();
    for (const link of links) {
      if (link.dataset.section === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    content.replaceChildren(...[makers[name](life.signal)].flat());
    host.scrollTop = 0;
    // The address has changed, so what is read begins anew.
    if (!links.includes(document.activeElement)) frame.querySelector("h1").focus({ preventScroll: true });
  };
}

/** A part of a page under a heading. */
export function part(heading, lead, ...content) {
  return el(
    "section",
    { class: "part" },
    el("h2", null, heading),
    lead ? el("p", { class: "part-lead" }, lead) : null,
    content,
  );
}

/** What a node waits for now: an answer that comes after another one was asked for is not drawn. */
const latest = new WeakMap();

/** What `load` gives, shown by `draw`; before that its shape, and in its place what went wrong. The result loads it anew. */
export function loading(node, load, draw, failed) {
  const again = async () => {
    if (node.childElementCount === 0) node.replaceChildren(skeleton());
    const mine = {};
    latest.set(node, mine);
    try {
      const loaded = await load();
      if (latest.get(node) !== mine) return;
      node.replaceChildren(...[draw(loaded)].flat().filter(Boolean));
    } catch (error) {
      if (latest.get(node) !== mine) return;
      const retry = el("button", { type: "button", class: "link", onclick: again }, words.tryAgain);
      node.replaceChildren(el("p", { class: "list-note", role: "alert" }, error.detail || failed, " ", retry));
      // Our own mistakes are not the server's.
      if (error.status === undefined) console.error(error);
    }
  };
  again();
  return again;
}

const skeleton = () =>
  el("div", { class: "skeleton", "aria-hidden": "true" }, ...Array.from({ length: 3 }, () => el("span")));
