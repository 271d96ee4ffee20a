// One's own data: taken along, and brought in.

import * as api from "./api.js";
import { el } from "./dom.js";
import { words } from "./lang/en.js";
import { part } from "./pages.js";

const w = words.settings;

export function data() {
  const status = el("p", { class: "hint", role: "status" });
  const picker = el("input", { type: "file", accept: ".json,application/json", hidden: true });
  picker.addEventListener("change", async () => {
    const [file] = picker.files;
    picker.value = "";
    status.textContent = `${w.importing}…`;
    try {
      status.textContent = w.imported(
        await api.importFile(file, (part) => (status.textContent = `${w.importing}… ${Math.round(part * 100)} %`)),
      );
    } catch (error) {
      status.textContent = w.importFailed(error.detail);
    }
  });
  return [
    part(
      w.export,
      w.exportLead,
      el("a", { class: "button quiet", href: api.EXPORT_URL, download: "" }, w.exportButton),
    ),
    part(
      w.import,
      w.importLead,
      el("button", { type: "button", class: "button quiet", onclick: () => picker.click() }, w.importButton),
      picker,
      status,
    ),
  ];
}
