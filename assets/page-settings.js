// The settings: how the page looks, what replies are made with, the account and its sessions, API keys, one's data.

import * as api from "./api.js";
import { applyLook, setLook } from "./app.js";
import { el, icon } from "./dom.js";
import { choices, field, formOf } from "./fields.js";
import { copyText } from "./html.js";
import { ago, date, words } from "./lang/en.js";
import { pickModel } from "./model-picker.js";
import { loading, part, sectioned } from "./pages.js";
import { showShortcuts } from "./shortcuts.js";
import { current, update } from "./store.js";
import { toast } from "./overlay.js";
import { settleAll, undoable } from "./undoable.js";

const w = words.settings;

export function mount(host, signal) {
  signal.addEventListener("abort", settleAll);
  const makers = { "": appearance, replies, account, sessions, keys, data };
  return sectioned(host, "settings", { makers, names: w.sections, heading: w.heading });
}

function appearance() {
  const look = applyLook();
  const set = (name, standard) => (value) => {
    if (value === standard) delete look[name];
    else look[name] = value;
    setLook(look);
  };
  return [
    part(w.theme, "", choices(w.theme, "theme", w.themes, look.theme ?? "system", set("theme", "system"))),
    part(w.size, "", choices(w.size, "size", w.sizes, look.size ?? "normal", set("size", "normal"))),
    part(
      w.shortcuts,
      w.shortcutsLead,
      el("button", { type: "button", class: "button quiet", onclick: showShortcuts }, words.shortcuts.heading),
    ),
  ];
}

function replies() {
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

function account() {
  const { user } = current();
  const name = field(w.name, {
    id: "display-name",
    name: "display_name",
    maxlength: "200",
    value: user.display_name ?? "",
  });
  const username = field(w.username, {
    id: "user-name",
    name: "username",
    maxlength: "64",
    value: user.username ?? "",
  });
  const saveProfile = async () => {
    const change = { display_name: name.input.value.trim() };
    const chosen = username.input.value.trim();
    if (chosen !== user.username) change.username = chosen;
    update({ user: await api.updateMe(change) });
  };
  const profile = part(w.profile, "", formOf([name, username], { label: words.save, save: saveProfile }));
  // People of another system have neither here.
  if (user.email === null) return profile;
  return [profile, emailPart(user), passwordPart()];
}

const currentPassword = (id) =>
  field(w.currentPassword, {
    id,
    name: "current_password",
    type: "password",
    autocomplete: "current-password",
    required: true,
  });

/** A wrong password is refused with a sentence for programs. */
async function withPassword(change) {
  try {
    return await api.updateMe(change);
  } catch (error) {
    if (error.status === 401 || error.status === 403) error.explained = w.passwordWrong;
    throw error;
  }
}

function emailPart(user) {
  const email = field(w.email, {
    id: "account-email",
    name: "email",
    type: "email",
    autocomplete: "email",
    required: true,
    value: user.email,
  });
  const password = currentPassword("email-password");
  const save = async () => {
    update({ user: await withPassword({ email: email.input.value.trim(), current_password: password.input.value }) });
    password.input.value = "";
  };
  return part(w.email, w.emailHint, formOf([email, password], { label: w.change, save }));
}

function passwordPart() {
  const old = currentPassword("old-password");
  const fresh = field(w.newPassword, {
    id: "new-password",
    name: "password",
    type: "password",
    autocomplete: "new-password",
    required: true,
    maxlength: "1024",
  });
  const save = async () => {
    await withPassword({ password: fresh.input.value, current_password: old.input.value });
    for (const { input } of [old, fresh]) input.value = "";
  };
  return part(w.password, w.passwordHint, formOf([old, fresh], { label: w.change, save, saved: w.passwordChanged }));
}

function sessions() {
  const list = el("div", { class: "list-box" });
  const draw = (rows) =>
    el(
      "ul",
      { class: "rows", role: "list" },
      rows.map((session) => sessionRow(session, again)),
    );
  const again = loading(list, api.sessions, draw, w.failed);
  return part(w.sections.sessions, w.sessionsLead, list);
}

function sessionRow({ id, user_agent: agent, created_at: created, expires_at: expires, is_current: isCurrent }, again) {
  const end = async () => {
    try {
      await api.endSession(id);
      toast({ text: w.ended });
    } catch (error) {
      toast({ text: words.notSaved(error.detail) });
    }
    again();
  };
  const about = [isCurrent ? w.thisSession : null, w.since(ago(created)), w.until(date(expires))]
    .filter(Boolean)
    .join(" · ");
  return el(
    "li",
    null,
    rowText(deviceOf(agent), about, agent),
    isCurrent
      ? null
      : el(
          "button",
          { type: "button", class: "button quiet", "aria-label": `${w.end}: ${deviceOf(agent)}`, onclick: end },
          w.end,
        ),
  );
}

/** "Firefox, Linux" out of the long line that browsers send. */
function deviceOf(agent) {
  if (!agent) return w.unknownDevice;
  const browser = [["Edg", "Edge"], ["OPR", "Opera"], ["Firefox"], ["Chrome"], ["Safari"], ["curl"]].find(([mark]) =>
    agent.includes(mark),
  );
  const system = [["Android"], ["iPhone"], ["iPad"], ["Windows"], ["Mac OS", "macOS"], ["Linux"]].find(([mark]) =>
    agent.includes(mark),
  );
  return [browser?.at(-1), system?.at(-1)].filter(Boolean).join(", ") || agent.slice(0, 60);
}

const rowText = (title, about, hint) =>
  el(
    "div",
    { class: "row-text" },
    el("strong", { dir: "auto", title: hint }, title),
    el("span", { class: "hint" }, about),
  );

function keys() {
  const list = el("div", { class: "list-box" });
  const made = el("div");
  const draw = (rows) =>
    rows.length === 0
      ? el("p", { class: "list-note" }, w.keysEmpty)
      : el("ul", { class: "rows", role: "list" }, rows.map(keyRow));
  const again = loading(list, api.apiKeys, draw, w.failed);
  const name = field(
    w.keyName,
    { id: "key-name", name: "name", required: true, maxlength: "100" },
    { hint: w.keyNameHint },
  );
  const budget = field(`${w.keyBudget} (${words.optional})`, {
    id: "key-budget",
    name: "budget_usd_month",
    type: "number",
    min: "0.01",
    step: "0.01",
  });
  const expires = field(`${w.keyExpires} (${words.optional})`, { id: "key-expires", name: "expires_at", type: "date" });
  const save = async () => {
    const key = { name: name.input.value.trim() };
    if (budget.input.value) key.budget_usd_month = Number(budget.input.value);
    if (expires.input.value) key.expires_at = `${expires.input.value}T23:59:59+00:00`;
    made.replaceChildren(newKey(await api.createApiKey(key)));
    for (const { input } of [name, budget, expires]) input.value = "";
    again();
  };
  const form = formOf([name, el("div", { class: "field-row" }, budget, expires)], {
    label: w.createKey,
    save,
    saved: "",
  });
  return [part(w.sections.keys, w.keysLead, list), part(w.createKey, "", form, made)];
}

/** The only time a key is seen. */
function newKey({ name, key }) {
  const shown = el("code", { tabindex: "0" }, key);
  const copy = el("button", { type: "button", class: "button quiet" }, icon("copy"), words.conversation.copy);
  copy.addEventListener("click", async () => {
    copy.lastChild.textContent = (await copyText(key, shown))
      ? words.conversation.copied
      : words.conversation.copyFailed;
  });
  return el(
    "div",
    { class: "secret", role: "status" },
    el("p", null, el("strong", null, name), ": ", w.keyMade),
    el("div", { class: "secret-row" }, shown, copy),
  );
}

function keyRow(key) {
  const spent = key.budget_usd_month == null ? null : w.keySpent(key.spent_usd_month ?? 0, key.budget_usd_month);
  const about = [
    `${key.hint}…`,
    key.last_used_at ? w.keyUsed(ago(key.last_used_at)) : w.keyUnused,
    key.expires_at ? w.until(date(key.expires_at)) : null,
    spent,
  ];
  const remove = () =>
    undoable({
      text: w.keyDeleted(key.name),
      hide: () => (row.hidden = true),
      show: () => (row.hidden = false),
      act: () => api.deleteApiKey(key.id),
    });
  const row = el(
    "li",
    null,
    rowText(key.name, about.filter(Boolean).join(" · ")),
    el(
      "button",
      { type: "button", class: "button quiet", "aria-label": w.delete(key.name), onclick: remove },
      words.menu.delete,
    ),
  );
  return row;
}

function data() {
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
