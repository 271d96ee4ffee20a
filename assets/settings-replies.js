// What replies are made with where a conversation says nothing else: the model and the system prompt.

import * as api from "./api.js";
import { el } from "./dom.js";
import { field, formOf } from "./fields.js";
import { words } from "./lang/en.js";
import { pickModel } from "./model-picker.js";
import { loading, part } from "./pages.js";
import { current, update } from "./store.js";

const w = words.settings;

export function replies() {
  const box = el("div", { class: "list-box" });
  // What is saved here goes back as a whole, so it must have come first.
  loading(box, () => Promise.all([api.settings(), api.me()]), draw, w.failed);
  return part(w.sections.replies, "", box);
}

function draw([settings, { system_prompt: standing }]) {
  let model = null;
  const button = el("button", {
    type: "button",
    class: "button quiet wide",
    id: "default-model",
    "aria-haspopup": "dialog",
    "aria-labelledby": "default-model-label default-model",
  });
  const reset = el("button", { type: "button", class: "link", onclick: () => choose(null) }, w.modelReset);
  const choose = (name) => {
    model = name;
    button.textContent = model ?? w.modelServer;
    reset.hidden = model === null;
  };
  button.addEventListener("click", async () => {
    choose((await pickModel(model)) ?? model);
    button.focus();
  });
  choose(settings.default_model ?? null);
  const prompt = field(
    w.prompt,
    { id: "default-prompt", name: "system_prompt", rows: "6", value: standing ?? "" },
    { tag: "textarea", hint: w.promptHint },
  );
  const save = async () => {
    const user = await api.updateMe({ system_prompt: prompt.input.value.trim() });
    // Favourites may have been marked in the meantime.
    const chosen = { ...settings, ...current().settings, default_model: model ?? undefined };
    await api.putSettings(chosen);
    update({ user, settings: chosen });
  };
  const modelField = el(
    "div",
    { class: "field" },
    el("span", { class: "label", id: "default-model-label" }, w.model),
    button,
    el("p", { class: "hint" }, w.modelHint, " ", reset),
  );
  return formOf([modelField, prompt], { label: words.save, save });
}
