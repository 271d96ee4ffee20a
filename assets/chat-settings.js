// What one conversation's replies are made with: model, system prompt, temperature, length, library; and its tags.

import * as api from "./api.js";
import { choose, setTags } from "./conversations.js";
import { el, iconButton } from "./dom.js";
import { words } from "./lang/en.js";
import { pickModel } from "./model-picker.js";
import { NEW, chatOf, choiceOf, current, putChat } from "./store.js";

const w = words.chatSettings;

/** Opens the dialog for the conversation `id`, which may be the one not created yet. */
export async function openChatSettings(id) {
  const whole = id === NEW ? null : await api.conversation(id).catch(() => null);
  // Lists leave out what may be long.
  if (whole && chatOf(id)) putChat({ ...chatOf(id), ...whole });
  const known = (name) => whole?.[name] ?? choiceOf(id, name) ?? "";
  const model = el("button", { type: "button", class: "button quiet wide", "aria-haspopup": "dialog" });
  let picked = known("model");
  const showModel = () => (model.textContent = picked || w.modelDefault);
  model.addEventListener("click", async () => {
    picked = (await pickModel(picked)) ?? picked;
    showModel();
  });
  showModel();
  const prompt = el("textarea", {
    id: "chat-prompt",
    rows: "5",
    maxlength: "20000",
    placeholder: current().settings.system_prompt || current().user.system_prompt || w.promptHint,
  });
  prompt.value = known("system_prompt");
  const temperature = el("input", {
    id: "chat-temperature",
    type: "number",
    min: "0",
    max: "2",
    step: "0.1",
    placeholder: w.standard,
    value: String(known("temperature")),
  });
  const tokens = el("input", {
    id: "chat-tokens",
    type: "number",
    min: "1",
    max: "1000000",
    placeholder: w.standard,
    value: String(known("max_tokens")),
  });
  const tags = el("input", {
    id: "chat-tags",
    autocomplete: "off",
    list: "all-tags",
    placeholder: w.tagsHint,
    value: (known("tags") || []).join(", "),
  });
  const numberOf = (input) => (input.value === "" ? null : Number(input.value));
  const save = async (event) => {
    event.preventDefault();
    if (!form.reportValidity()) return;
    const values = {
      model: picked || null,
      system_prompt: prompt.value.trim() || null,
      temperature: numberOf(temperature),
      max_tokens: numberOf(tokens),
    };
    dialog.close();
    await choose(id, values);
    const named = [
      ...new Set(
        tags.value
          .split(",")
          .map((tag) => tag.trim())
          .filter(Boolean),
      ),
    ];
    if (id !== NEW && named.join("\n") !== (known("tags") || []).join("\n")) await setTags(id, named);
  };
  const field = (label, input, hint) =>
    el(
      "div",
      { class: "field" },
      el("label", { for: input.id }, label),
      input,
      hint ? el("p", { class: "hint" }, hint) : null,
    );
  const form = el(
    "form",
    { class: "fields", onsubmit: save },
    el("div", { class: "field" }, el("span", { class: "label" }, w.model), model),
    field(w.prompt, prompt),
    el(
      "div",
      { class: "field-row" },
      field(w.temperature, temperature, w.temperatureHint),
      field(w.tokens, tokens, w.tokensHint),
    ),
    id === NEW ? null : field(w.tags, tags),
    el(
      "datalist",
      { id: "all-tags" },
      current().tags.map(({ name }) => el("option", { value: name })),
    ),
    el(
      "div",
      { class: "form-foot" },
      el("button", { type: "button", class: "button quiet", onclick: () => dialog.close() }, words.cancel),
      el("button", { class: "button" }, words.save),
    ),
  );
  const dialog = el(
    "dialog",
    { class: "dialog", "aria-labelledby": "chat-settings-heading", closedby: "any", onclose: () => dialog.remove() },
    el(
      "header",
      null,
      el("h2", { id: "chat-settings-heading" }, w.heading),
      iconButton("close", words.close, { onclick: () => dialog.close() }),
    ),
    form,
  );
  document.body.append(dialog);
  dialog.showModal();
  model.focus();
}
