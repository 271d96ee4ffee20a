// What one conversation's replies are made with: model, system prompt, temperature, length, library; and its tags.

import * as api from "./api.js";
import { choose, setTags } from "./conversations.js";
import { el, iconButton } from "./dom.js";
import { field } from "./fields.js";
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
  const model = modelField(known("model"));
  const { prompt, temperature, tokens, tags } = inputs(known);
  const close = () => dialog.close();
  const save = async (event) => {
    event.preventDefault();
    const wrong = [temperature, tokens].filter(({ input }) => !input.checkValidity());
    for (const { complain, wrongly } of wrong) complain(wrongly);
    if (wrong.length > 0) return wrong[0].input.focus();
    close();
    await choose(id, {
      model: model.picked(),
      system_prompt: prompt.value.trim() || null,
      temperature: numberOf(temperature.input),
      max_tokens: numberOf(tokens.input),
    });
    const named = [...new Set(tags.value.split(",").map((tag) => tag.trim()))].filter(Boolean);
    if (id !== NEW && named.join("\n") !== (known("tags") || []).join("\n")) await setTags(id, named);
  };
  const form = el(
    "form",
    { class: "fields", onsubmit: save, novalidate: true },
    model.node,
    labelled(w.prompt, prompt),
    el("div", { class: "field-row" }, temperature, tokens),
    // Tags belong to what is there.
    id === NEW ? null : labelled(w.tags, tags),
    el(
      "datalist",
      { id: "all-tags" },
      current().tags.map(({ name }) => el("option", { value: name })),
    ),
    el(
      "div",
      { class: "form-foot" },
      el("button", { type: "button", class: "button quiet", onclick: close }, words.cancel),
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
      iconButton("close", words.close, { onclick: close }),
    ),
    form,
  );
  document.body.append(dialog);
  dialog.showModal();
  model.focus();
}

const numberOf = (input) => (input.value === "" ? null : Number(input.value));

const labelled = (label, input) => el("div", { class: "field" }, el("label", { for: input.id }, label), input);

/** The model, by a button that opens the picker; `picked` is its name, or null for the default. */
function modelField(name) {
  let picked = name || null;
  const button = el("button", { type: "button", class: "button quiet wide", "aria-haspopup": "dialog" });
  const show = () => (button.textContent = picked ?? w.modelDefault);
  button.addEventListener("click", async () => {
    picked = (await pickModel(picked)) ?? picked;
    show();
  });
  show();
  const node = el("div", { class: "field" }, el("span", { class: "label" }, w.model), button);
  return { node, picked: () => picked, focus: () => button.focus() };
}

function inputs(known) {
  const { settings } = current();
  const number = (label, wrongly, hint, props) =>
    Object.assign(field(label, { type: "number", placeholder: w.standard, ...props }, { hint }), { wrongly });
  const prompt = el("textarea", {
    id: "chat-prompt",
    rows: "5",
    maxlength: "20000",
    placeholder: settings.system_prompt || w.promptHint,
  });
  prompt.value = known("system_prompt");
  return {
    prompt,
    temperature: number(w.temperature, w.temperatureWrong, w.temperatureHint, {
      id: "chat-temperature",
      min: "0",
      max: "2",
      step: "0.1",
      value: known("temperature"),
    }),
    tokens: number(w.tokens, w.tokensWrong, w.tokensHint, {
      id: "chat-tokens",
      min: "1",
      max: "1000000",
      value: known("max_tokens"),
    }),
    tags: el("input", {
      id: "chat-tags",
      autocomplete: "off",
      list: "all-tags",
      placeholder: w.tagsHint,
      value: (known("tags") || []).join(", "),
    }),
  };
}
