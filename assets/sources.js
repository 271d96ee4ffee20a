// What a reply drew on: passages of the user's own documents, numbered as its text cites them, each folded behind its title.

import { el, icon } from "./dom.js";
import { words } from "./lang/en.js";
import { pageAddress } from "./router.js";

const w = words.sources;
/** More than fits into one line. */
const BEGINNING_CHARS = 160;

/** Shows `sources` in `node`; `idOf` gives the id that each has on the page, by its number. */
export function showSources(node, sources, idOf) {
  const items = sources.map((source, i) => el("li", null, sourceItem(source, i + 1, idOf(i + 1))));
  node.append(el("p", { class: "sources-heading" }, w.heading), el("ol", { role: "list" }, items));
}

function sourceItem({ document_id: documentId, position, title, author, heading, text }, number, id) {
  // Passages of one document are told apart by how they begin.
  const about = [author, heading === title ? "" : heading, text.slice(0, BEGINNING_CHARS)].filter(Boolean).join(" · ");
  return el(
    "details",
    { class: "source", id },
    el(
      "summary",
      null,
      el("span", { class: "source-number" }, String(number)),
      el(
        "div",
        { class: "source-text" },
        el("p", { class: "source-title", dir: "auto" }, title),
        el("p", { class: "source-about", dir: "auto" }, about),
      ),
      icon("chevron"),
    ),
    el("blockquote", { dir: "auto" }, text),
    el("a", { class: "link", href: `${pageAddress("library", documentId)}#passage-${position}` }, w.open),
  );
}
