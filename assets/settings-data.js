// One's own data: taken along, and brought in.

import * as api from "./api.js";
import * as conversations from "./conversations.js";
import { el, icon } from "./dom.js";
import { fold, rowText, showProgress } from "./fields.js";
import { words } from "./lang/en.js";
import { part } from "./pages.js";

const w = words.settings;

export function data() {
  const download = (address, label) =>
    el("a", { class: "button quiet", href: address, download: "" }, icon("down"), label);
  const downloads = el(
    "div",
    { class: "button-row" },
    download(api.EXPORT_URL, w.exportButton),
    download(`${api.EXPORT_URL}?format=markdown`, w.exportMarkdown),
  );
  return [part(w.export, w.exportLead, downloads), part(w.import, w.importLead, importing())];
}

function importing() {
  const status = el("p", { class: "hint", role: "status" });
  const report = el("div");
  const bar = el("progress", { max: "1", hidden: true, "aria-label": w.importing });
  const picker = el("input", { type: "file", accept: ".json,.zip,.db", hidden: true });
  picker.addEventListener("change", async () => {
    const [file] = picker.files;
    picker.value = "";
    report.replaceChildren();
    status.textContent = `${w.importing}…`;
    bar.hidden = false;
    try {
      const came = await api.importFile(file, (part) => showProgress(bar, part));
      status.textContent = w.imported(came);
      report.replaceChildren(...leftOut(came.not_imported));
      await Promise.all([conversations.load(), conversations.loadTags()]);
    } catch (error) {
      status.textContent = w.importFailed(error.detail);
    }
    bar.hidden = true;
  });
  const button = el(
    "button",
    { type: "button", class: "button quiet", onclick: () => picker.click() },
    icon("upload"),
    w.importButton,
  );
  return el("div", { class: "steps" }, button, picker, bar, status, report);
}

/** What did not come in, each with the reason. */
function leftOut(rows) {
  if (rows.length === 0) return [];
  const row = ({ kind, title, id, reason }) =>
    el("li", null, rowText(title || id || w.importKinds[kind] || kind, reason));
  return [fold(w.leftOut(rows.length), el("ul", { class: "rows", role: "list" }, rows.map(row)))];
}
