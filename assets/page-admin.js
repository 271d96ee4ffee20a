// The administration: users, who may sign up and how much may be used, where replies come from, and the server's health.
// Providers and models have a file of their own.

import * as api from "./api.js";
import { el, icon, iconButton } from "./dom.js";
import { field, formOf, choices, select } from "./fields.js";
import { ago, bytes, number, words } from "./lang/en.js";
import { openMenu } from "./menu.js";
import { models, providers } from "./page-providers.js";
import { loading, part, sectioned } from "./pages.js";
import { current } from "./store.js";
import { toast } from "./toast.js";
import { settleAll, undoable } from "./undoable.js";

const w = words.admin;

export function mount(host, signal) {
  signal.addEventListener("abort", settleAll);
  const makers = { "": users, access, providers, models, server };
  return sectioned(host, "admin", { makers, names: w.sections, heading: w.heading });
}

function users() {
  const list = el("div", { class: "list-box" });
  const draw = (payload) => el("ul", { class: "rows", role: "list" }, (payload.users ?? payload).map((user) => userRow(user, again)));
  const again = loading(list, api.users, draw, w.failed);
  const email = field(words.field.email, { id: "user-email", name: "email", type: "email", required: true });
  const password = field(words.field.password, { id: "user-password", name: "password", type: "password", required: true, autocomplete: "new-password" });
  const role = select(w.role, "user-role", w.roles, "user");
  const save = async () => {
    await api.createUser({ email: email.input.value.trim(), password: password.input.value, role: role.input.value });
    for (const { input } of [email, password]) input.value = "";
    again();
  };
  const form = formOf([el("div", { class: "field-row" }, email, password), role], { label: w.addUser, save });
  return [part(w.sections[""], w.usersLead, list), part(w.addUser, "", form)];
}

function userRow(user, again) {
  const name = user.display_name || user.email || user.username;
  const isSelf = user.id === current().user.id;
  const about = [user.email !== name ? user.email : null, isSelf ? w.you : null, w.joined(ago(user.created_at))].filter(Boolean).join(" · ");
  const change = (values) => async () => {
    try {
      await api.updateUser(user.id, values);
      again();
    } catch (error) {
      toast({ text: words.notSaved(error.detail) });
    }
  };
  const disabled = Boolean(user.is_disabled ?? user.disabled_at);
  const remove = () => undoable({ text: w.userDeleted(name), hide: () => (row.hidden = true), show: () => (row.hidden = false), act: () => api.deleteUser(user.id) });
  const more = iconButton("more", words.sidebar.more(name), { "aria-haspopup": "menu" });
  const isAdmin = user.role === "admin";
  more.addEventListener("click", () =>
    openMenu(more, [
      { icon: "admin", label: isAdmin ? w.makeUser : w.makeAdmin, run: change({ role: isAdmin ? "user" : "admin" }) },
      { icon: "hide", label: disabled ? w.enable : w.disable, run: change({ is_disabled: !disabled }) },
      { icon: "delete", label: words.menu.delete, run: remove, danger: true },
    ]),
  );
  const row = el(
    "li",
    null,
    el("span", { class: "initial", "aria-hidden": "true" }, [...name][0].toUpperCase()),
    el("div", { class: "row-text" }, el("strong", { dir: "auto" }, name), el("span", { class: "hint" }, about)),
    isAdmin ? el("span", { class: "badge" }, w.roles.admin) : null,
    disabled ? el("span", { class: "badge bad" }, w.disabled) : null,
    isSelf ? null : more,
  );
  return row;
}

function access() {
  const signup = el("div", { class: "list-box" });
  const limits = el("div", { class: "list-box" });
  loading(signup, api.signup, drawSignup, w.failed);
  loading(limits, api.limits, drawLimits, w.failed);
  return [part(w.signup, "", signup), part(w.limits, w.limitsLead, limits)];
}

function drawSignup(payload) {
  const set = async (signup) => {
    try {
      await api.putSignup({ signup });
      toast({ text: words.saved });
    } catch (error) {
      toast({ text: words.notSaved(error.detail) });
    }
  };
  const made = choices(w.signup, "signup", w.signups, payload.signup ?? payload.mode, set);
  made.classList.add("stacked");
  return made;
}

/** A field for each limit that the server names: what it does not know is not shown. */
function drawLimits(limits) {
  const named = Object.entries(limits).filter(([, value]) => value === null || typeof value === "number");
  const fields = named.map(([name, value]) => field(w.limitNames[name] ?? name.replaceAll("_", " "), { id: `limit-${name}`, name, type: "number", min: "0", step: "any", value: value ?? "" }));
  const save = () => api.putLimits(Object.fromEntries(fields.map(({ input }) => [input.name, input.value === "" ? null : Number(input.value)])));
  return formOf(fields, { label: words.save, save });
}

function server() {
  const health = el("div", { class: "list-box" });
  loading(health, api.health, drawHealth, w.failed);
  const backup = el("a", { class: "button quiet", href: api.BACKUP_URL, download: "" }, w.backupButton);
  return [part(w.health, "", health), part(w.backup, w.backupLead, backup)];
}

function drawHealth(health) {
  const good = health.status === "healthy";
  const rows = Object.entries(flat(health)).filter(([name]) => name !== "status");
  return [
    el("p", { class: good ? "verdict good" : "verdict bad" }, icon(good ? "done" : "warn"), good ? w.healthy : health.detail || w.failing),
    el("dl", { class: "facts" }, rows.flatMap(([name, value]) => [el("dt", null, name.replaceAll("_", " ")), el("dd", null, factOf(name, value))])),
  ];
}

/** What is nested, with the names of the way to it. */
function flat(object, before = "") {
  return Object.entries(object).reduce((all, [name, value]) => {
    const key = before ? `${before} ${name}` : name;
    if (Array.isArray(value)) return { ...all, ...Object.assign({}, ...value.map((one) => ({ [one.name ?? key]: [one.status, one.reason ?? one.detail].filter(Boolean).join(": ") || String(one) }))) };
    return value !== null && typeof value === "object" ? { ...all, ...flat(value, key) } : { ...all, [key]: value };
  }, {});
}

function factOf(name, value) {
  if (typeof value !== "number") return String(value ?? "–");
  return /bytes/.test(name) ? bytes(value) : number(value);
}
