// API keys: made with a budget and an end, shown once, deleted.

import * as api from "./api.js";
import { el, icon } from "./dom.js";
import { field, formOf, rowText, select } from "./fields.js";
import { copyText } from "./html.js";
import { ago, date, words } from "./lang/en.js";
import { loading, part } from "./pages.js";
import { undoable } from "./undoable.js";

const w = words.settings;
const DAY_MS = 86_400_000;

export function keys() {
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
  const expires = select(w.keyExpires, "key-expires", w.keyLives, "");
  const save = async () => {
    const key = { name: name.input.value.trim() };
    if (budget.input.value) key.budget_usd_month = Number(budget.input.value);
    const days = Number(expires.input.value);
    if (days > 0) key.expires_at = new Date(Date.now() + days * DAY_MS).toISOString();
    made.replaceChildren(newKey(await api.createApiKey(key)));
    for (const { input } of [name, budget, expires]) input.value = "";
    // The list above grows first: it is not to push the key out of the view.
    await again();
    made.querySelector("button").focus({ preventScroll: true });
    made.scrollIntoView({ block: "nearest" });
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
