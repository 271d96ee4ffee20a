// Where replies come from: providers, each tried as soon as its key is pasted, and the names that stand for models.

import * as api from "./api.js";
import { el, iconButton } from "./dom.js";
import { field, formOf, select } from "./fields.js";
import { words } from "./lang/en.js";
import { pickModel } from "./model-picker.js";
import { loading, part } from "./pages.js";
import { openMenu, toast } from "./overlay.js";
import { update } from "./store.js";
import { undoable } from "./undoable.js";

const w = words.admin;
/** What most people connect; anything else is "other". Addresses can be changed. */
const KINDS = {
  openai: { label: "OpenAI", protocol: "openai", url: "https://api.openai.com/v1" },
  anthropic: { label: "Anthropic", protocol: "anthropic", url: "https://api.anthropic.com/v1" },
  gemini: {
    label: "Google Gemini",
    protocol: "openai",
    url: "https://generativelanguage.googleapis.com/v1beta/openai",
  },
  openrouter: { label: "OpenRouter", protocol: "openai", url: "https://openrouter.ai/api/v1" },
  mistral: { label: "Mistral", protocol: "openai", url: "https://api.mistral.ai/v1" },
  groq: { label: "Groq", protocol: "openai", url: "https://api.groq.com/openai/v1" },
  ollama: { label: "Ollama (local)", protocol: "openai", url: "http://127.0.0.1:11434/v1", isLocal: true },
  llamacpp: { label: "llama.cpp (local)", protocol: "openai", url: "http://127.0.0.1:8080/v1", isLocal: true },
  other: { label: "Other, speaking OpenAI’s protocol", protocol: "openai", url: "" },
};

export function providers() {
  const list = el("div", { class: "list-box" });
  let known = [];
  const draw = (rows) => {
    known = rows;
    if (rows.length === 0) return el("p", { class: "list-note" }, w.noProviders);
    return el(
      "ul",
      { class: "rows", role: "list" },
      rows.map((provider) => providerRow(provider, { again: () => again(), edit: form.edit })),
    );
  };
  const find = (name) => known.find((one) => one.name === name && one.source === "stored");
  const form = providerForm(() => again(), find);
  const again = loading(list, api.providers, draw, w.failed);
  return [part(w.sections.providers, w.providersLead, list), part(w.addProvider, "", form)];
}

function providerRow(provider, { again, edit }) {
  const { id, name, base_url: url, source, is_enabled: isEnabled, state, reason, models } = provider;
  const isDown = state === "down";
  // Without a model there is nothing to ask, however well it answers.
  const works = state === "up" && models.length > 0;
  const isOurs = source === "stored";
  const change = (ask) => async () => {
    await ask().catch((error) => toast({ text: words.notSaved(error.detail) }));
    again();
    update({ models: await api.models() });
  };
  const remove = () =>
    undoable({
      text: w.providerDeleted(name),
      hide: () => (row.hidden = true),
      show: () => (row.hidden = false),
      act: () => api.deleteProvider(id),
    });
  const test = iconButton("again", w.test(name));
  test.addEventListener("click", () => ((test.disabled = true), change(() => api.testProvider(id ?? name))()));
  const more = iconButton("more", words.sidebar.more(name), { "aria-haspopup": "menu" });
  const toggle = change(() => api.updateProvider(id, { is_enabled: !isEnabled }));
  more.addEventListener("click", () =>
    openMenu(more, [
      { icon: "rename", label: w.editProvider, run: () => edit(provider) },
      { icon: isEnabled ? "hide" : "show", label: isEnabled ? w.disable : w.enable, run: toggle },
      { icon: "delete", label: words.remove, run: remove, danger: true },
    ]),
  );
  const about = [url, isOurs ? null : w.sources[source]].filter(Boolean).join(" · ");
  const row = el(
    "li",
    { class: isEnabled ? null : "off" },
    el("span", { class: isDown ? "light bad" : works ? "light good" : "light", "aria-hidden": "true" }),
    el(
      "div",
      { class: "row-text" },
      el(
        "span",
        { class: "row-name" },
        el("strong", null, name),
        isEnabled ? null : el("span", { class: "badge" }, w.disabled),
      ),
      el("span", { class: "hint" }, about),
      el("span", { class: isDown ? "hint bad" : "hint" }, isDown ? w.providerDown(reason) : modelNames(models)),
    ),
    isEnabled ? test : null,
    isOurs ? more : null,
  );
  return row;
}

/** How many models, and the first of them by name. */
function modelNames(models) {
  const names = models.slice(0, 3).join(", ");
  return names === ""
    ? w.providerWorks(0)
    : `${w.providerWorks(models.length)}: ${names}${models.length > 3 ? " …" : ""}`;
}

/** Pasting a key is enough for those that are known: it is tried at once. */
function providerForm(again, find) {
  const kind = select(
    w.providerKind,
    "provider-kind",
    Object.fromEntries(Object.entries(KINDS).map(([key, { label }]) => [key, label])),
    "openai",
  );
  const name = field(w.providerName, {
    id: "provider-name",
    name: "name",
    required: true,
    maxlength: "40",
    spellcheck: "false",
  });
  const url = field(w.baseUrl, {
    id: "provider-url",
    name: "base_url",
    type: "url",
    required: true,
    spellcheck: "false",
  });
  const key = field(
    w.apiKey,
    { id: "provider-key", name: "api_key", type: "password", spellcheck: "false" },
    { hint: w.apiKeyHint },
  );
  const status = el("p", { class: "hint", role: "status" });
  const fit = () => {
    const { url: address, isLocal } = KINDS[kind.input.value];
    name.input.value = kind.input.value === "other" ? "" : kind.input.value;
    url.input.value = address;
    // A key is for one provider only.
    key.input.value = "";
    key.querySelector(".hint").textContent = isLocal ? w.apiKeyLocal : w.apiKeyHint;
  };
  kind.input.addEventListener("change", fit);
  fit();
  const save = async () => {
    const provider = {
      name: name.input.value.trim(),
      protocol: KINDS[kind.input.value].protocol,
      base_url: url.input.value.trim(),
    };
    if (key.input.value) provider.api_key = key.input.value.trim();
    status.textContent = w.trying;
    try {
      // One of this name that is there already is changed: most likely its key was wrong.
      const there = find(provider.name);
      const added = await (there ? api.updateProvider(there.id, provider) : api.addProvider(provider));
      status.textContent = added.reason
        ? w.providerFailed(added.reason)
        : w.providerAdded(added.name, added.models.length);
      key.input.value = "";
      again();
      update({ models: await api.models() });
    } catch (error) {
      status.textContent = "";
      throw error;
    }
  };
  const form = formOf([kind, el("div", { class: "field-row" }, name, url), key], {
    label: w.tryProvider,
    save,
    saved: "",
  });
  key.input.addEventListener("paste", () => setTimeout(() => form.requestSubmit()));
  form.append(status);
  const edit = ({ name: known, base_url: address, protocol }) => {
    const same = Object.keys(KINDS).find((one) => KINDS[one].url === address);
    kind.input.value = same ?? (protocol === "anthropic" ? "anthropic" : "other");
    fit();
    name.input.value = known;
    url.input.value = address;
    key.querySelector(".hint").textContent = w.apiKeyKept;
    key.input.focus();
  };
  return Object.assign(form, { edit });
}

export function models() {
  const box = el("div", { class: "list-box" });
  loading(box, api.adminModels, draw, w.failed);
  return part(w.sections.models, w.modelsLead, box);
}

function draw({ default_model: standard, aliases: known }) {
  let name = standard.name;
  const isFixed = standard.source === "environment";
  const button = el("button", {
    type: "button",
    class: "button quiet wide",
    id: "default-model",
    "aria-haspopup": "dialog",
    "aria-labelledby": "default-model-label default-model",
    disabled: isFixed,
  });
  const show = () => (button.textContent = name ?? w.firstModel(standard.runs));
  button.addEventListener("click", async () => {
    name = (await pickModel(name ?? standard.runs)) ?? name;
    show();
  });
  show();
  const box = el("div", { class: "aliases" });
  const rows = [];
  const add = (alias) => {
    const row = aliasRow(alias, rows.length);
    rows.push(row);
    box.append(row.node);
    return row;
  };
  for (const alias of known) add(alias);
  const another = el(
    "button",
    { type: "button", class: "button quiet", onclick: () => add({ name: "", models: [] }).focus() },
    w.addAlias,
  );
  const save = async () => {
    if (!isFixed && name !== standard.name) await api.setDefaultModel(name);
    const before = new Map(known.map((alias) => [alias.name, alias.models.join("\n")]));
    const now = new Map(rows.filter((row) => !row.isFixed).map((row) => row.value()));
    for (const [alias, models] of now)
      if (alias && models.length > 0 && models.join("\n") !== before.get(alias)) await api.setAlias(alias, models);
    const gone = known.filter((alias) => alias.source !== "environment" && !now.get(alias.name)?.length);
    for (const alias of gone) await api.deleteAlias(alias.name);
    update({ models: await api.models() });
  };
  const hint = isFixed ? el("p", { class: "hint" }, w.fromEnvironment) : null;
  const standardField = el(
    "div",
    { class: "field" },
    el("span", { class: "label", id: "default-model-label" }, w.defaultModel),
    button,
    hint,
  );
  const aliasField = el(
    "div",
    { class: "field" },
    el("span", { class: "label" }, w.aliases),
    el("p", { class: "hint" }, w.aliasHint),
    box,
  );
  return formOf([standardField, aliasField], { label: words.save, save, extra: [another] });
}

/** An alias and its models; one of the environment can only be read. */
function aliasRow({ name, models, source }, i) {
  const isFixed = source === "environment";
  const title = el("input", {
    "aria-label": w.aliasName,
    placeholder: w.aliasName,
    value: name,
    spellcheck: "false",
    disabled: isFixed,
  });
  const list = el("textarea", {
    id: `alias-${i}`,
    "aria-label": w.alias(name),
    rows: String(Math.max(models.length, 1)),
    spellcheck: "false",
    disabled: isFixed,
  });
  list.value = models.join("\n");
  const value = () => [
    title.value.trim(),
    list.value
      .split(/[\n,]/)
      .map((line) => line.trim())
      .filter(Boolean),
  ];
  return { node: el("div", { class: "alias" }, title, list), value, isFixed, focus: () => title.focus() };
}
