// The administration: users, who may sign up and how much may be used, where replies come from, and the server's health.
// Providers and models, limits and the log have files of their own.

import * as api from "./api.js";
import { el, icon, iconButton } from "./dom.js";
import { field, formOf, choices, select } from "./fields.js";
import { date, words } from "./lang/en.js";
import { LIMIT_STEPS, limitsOf, openUserLimits } from "./limits.js";
import { openMenu, toast } from "./overlay.js";
import { log } from "./page-audit.js";
import { models, providers } from "./page-providers.js";
import { loading, part, sectioned } from "./pages.js";
import { current } from "./store.js";
import { settleAll, undoable } from "./undoable.js";

const w = words.admin;

export function mount(host, signal) {
  signal.addEventListener("abort", settleAll);
  const makers = { "": users, access, providers, models, log, server };
  return sectioned(host, "admin", { makers, names: w.sections, heading: w.heading });
}

function users() {
  const list = el("div", { class: "list-box" });
  let found = [];
  const page = async (offset) => {
    const { users: some, total } = await api.users(offset);
    found = [...found.slice(0, offset), ...some];
    return total;
  };
  const draw = (total) => [
    el(
      "ul",
      { class: "rows", role: "list" },
      found.map((user) => userRow(user, again)),
    ),
    found.length < total
      ? el(
          "button",
          {
            type: "button",
            class: "quiet-button",
            onclick: () => loading(list, () => page(found.length), draw, w.failed),
          },
          words.library.more,
        )
      : null,
  ];
  const again = loading(list, () => page(0), draw, w.failed);
  const email = field(words.field.email, { id: "user-email", name: "email", type: "email", required: true });
  const password = field(words.field.password, {
    id: "user-password",
    name: "password",
    type: "password",
    required: true,
    autocomplete: "new-password",
  });
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
  const name = user.display_name || user.email || user.username || user.external_id;
  const isSelf = user.id === current().user.id;
  const about = [
    user.email !== name ? user.email : null,
    isSelf ? w.you : null,
    w.joined(date(user.created_at)),
    w.conversations(user.conversation_count),
    limitsOf(user),
  ]
    .filter(Boolean)
    .join(" · ");
  const change = (values) => async () => {
    try {
      await api.updateUser(user.id, values);
      again();
    } catch (error) {
      toast({ text: words.notSaved(error.detail) });
    }
  };
  const remove = () =>
    undoable({
      text: w.userDeleted(name),
      hide: () => (row.hidden = true),
      show: () => (row.hidden = false),
      act: () => api.deleteUser(user.id),
    });
  const more = iconButton("more", words.sidebar.more(name), { "aria-haspopup": "menu" });
  const isAdmin = user.role === "admin";
  const limits = { icon: "usage", label: w.setLimits, run: () => openUserLimits(user, name, again) };
  const others = [
    { icon: "admin", label: isAdmin ? w.makeUser : w.makeAdmin, run: change({ role: isAdmin ? "user" : "admin" }) },
    { icon: "hide", label: user.disabled ? w.enable : w.disable, run: change({ disabled: !user.disabled }) },
    { icon: "delete", label: words.menu.delete, run: remove, danger: true },
  ];
  // Nobody locks themselves out.
  more.addEventListener("click", () => openMenu(more, isSelf ? [limits] : [limits, ...others]));
  const row = el(
    "li",
    null,
    el("span", { class: "initial", "aria-hidden": "true" }, [...name][0].toUpperCase()),
    el(
      "div",
      { class: "row-text" },
      el(
        "span",
        { class: "row-name" },
        el("strong", { dir: "auto" }, name),
        isAdmin ? el("span", { class: "badge" }, w.roles.admin) : null,
        user.disabled ? el("span", { class: "badge bad" }, w.disabled) : null,
      ),
      el("span", { class: "hint" }, about),
    ),
    more,
  );
  return row;
}

function access() {
  const signup = el("div", { class: "list-box" });
  const limits = el("div", { class: "list-box" });
  loading(signup, api.signup, drawSignup, w.failed);
  loading(limits, api.limits, drawLimits, w.failed);
  return [part(w.signup, "", signup), part(w.limits, "", limits)];
}

function drawSignup({ signup: now, source }) {
  const set = async (signup) => {
    try {
      await api.putSignup({ signup });
      toast({ text: words.saved });
    } catch (error) {
      toast({ text: words.notSaved(error.detail) });
    }
  };
  const made = choices(w.signup, "signup", w.signups, now, set);
  made.classList.add("stacked");
  if (source !== "flag") return made;
  made.disabled = true;
  return [made, el("p", { class: "hint" }, w.fromEnvironment)];
}

/** A field for each limit that the server names; those given when it was started can only be read. */
function drawLimits({ given, default_upload_quota_mib: quota, ...limits }) {
  const fields = Object.entries(limits).map(([name, value]) => {
    const isGiven = given.includes(name);
    return field(
      w.limitNames[name] ?? name.replaceAll("_", " "),
      {
        id: `limit-${name}`,
        name,
        type: "number",
        min: "0",
        step: LIMIT_STEPS[name],
        value: value ?? "",
        placeholder: name === "upload_quota_mib" ? String(quota) : null,
        disabled: isGiven,
      },
      { hint: isGiven ? w.fromEnvironment : w.limitHints[name] },
    );
  });
  const changed = () =>
    fields
      .filter(({ input }) => !input.disabled)
      .map(({ input }) => [input.name, input.value === "" ? null : Number(input.value)]);
  return formOf(fields, { label: words.save, save: () => api.putLimits(Object.fromEntries(changed())) });
}

function server() {
  const health = el("div", { class: "list-box" });
  loading(health, api.health, drawHealth, w.failed);
  // A link, so that the browser writes the copy to disk as it comes.
  const backup = el("a", { class: "button quiet", href: api.BACKUP_URL, download: "" }, icon("down"), w.backupButton);
  const status = el("p", { class: "hint", role: "status" });
  backup.addEventListener("click", () => (status.textContent = w.backupMaking));
  return [part(w.health, "", health), part(w.backup, w.backupLead, backup, status)];
}

function drawHealth({ status, version, detail, store, turns, providers: runners = [] }) {
  const good = status === "healthy";
  const fact = (name, value) => [el("dt", null, name), el("dd", null, value)];
  return [
    el(
      "p",
      { class: good ? "verdict good" : "verdict bad" },
      icon(good ? "done" : "warn"),
      good ? w.healthy : detail || w.failing,
    ),
    el(
      "dl",
      { class: "facts" },
      fact(w.version, version),
      store ? fact(w.store, store.reason || w.states[store.state] || store.state) : null,
      turns ? fact(w.turns, w.turnsOf(turns.running, turns.max)) : null,
      runners.flatMap(({ name, state, reason }) =>
        fact(name, [w.states[state] ?? state, reason].filter(Boolean).join(": ")),
      ),
    ),
  ];
}
