// What replies are made with where a conversation says nothing else: the model and the system prompt.

import * as api from "./api.js";
import { el } from "./dom.js";
import { field, formOf } from "./fields.js";
import { words } from "./lang/en.js";
import { pickModel } from "./model-picker.js";
import { part } from "./pages.js";
import { current, update } from "./store.js";

const w = words.settings;

export function replies() {
  const { settings } = current();
  let model = settings.default_model ?? null;
  const button = el("button", { type: "button", class: "button quiet wide", "aria-haspopup": "dialog" });
  const show = () => (button.textContent = model ?? w.modelServer);
  button.addEventListener("click", async () => {
    model = (await pickModel(model)) ?? model;
    show();
  });
  show();
  const reset = el("button", { type: "button", class: "link", onclick: () => ((model = null), show()) }, w.modelServer);
  const prompt = field(
    w.prompt,
    { id: "default-prompt", name: "system_prompt", rows: "6", value: settings.system_prompt ?? "" },
    { tag: "textarea", hint: w.promptHint },
  );
  const save = async () => {
    const text = prompt.input.value.trim();
    await api.updateMe({ system_prompt: text });
    // The account does not tell the prompt; the settings keep it to be shown.
    await keepSettings({ default_model: model ?? undefined, system_prompt: text });
  };
  const modelField = el(
    "div",
    { class: "field" },
    el("span", { class: "label" }, w.model),
    button,
    el("p", { class: "hint" }, w.modelHint, " ", reset),
  );
  return part(w.sections.replies, "", formOf([modelField, prompt], { label: words.save, save }));
}

async function keepSettings(change) {
  const settings = { ...current().settings, ...change };
  await api.putSettings(settings);
  update({ settings });
}
