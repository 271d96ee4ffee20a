// The account: its name, its address, its password.

import * as api from "./api.js";
import { field, formOf } from "./fields.js";
import { words } from "./lang/en.js";
import { part } from "./pages.js";
import { current, update } from "./store.js";

const w = words.settings;

export function account() {
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
