// What one user may send and keep, where that is not as for everybody: said in a line, and set in a dialog.

import * as api from "./api.js";
import { el, iconButton } from "./dom.js";
import { field, formOf } from "./fields.js";
import { words } from "./lang/en.js";

const w = words.admin;
/** Limits that one user may have, and the steps of those that are no whole numbers. */
const NAMES = ["messages_per_day", "budget_usd_month", "upload_quota_mib"];
export const LIMIT_STEPS = { budget_usd_month: "any" };

/** The limits that are a user's own, in words; "" where all are everybody's. */
export const limitsOf = (user) =>
  NAMES.filter((name) => user[name] !== null)
    .map((name) => w.ownLimits[name](user[name]))
    .join(" · ");

/** Asks for the limits of `user`, whom the page calls `name`; `saved` is called once they are stored. */
export function openUserLimits(user, name, saved) {
  const fields = NAMES.map((limit) =>
    field(
      w.ownLimitNames[limit],
      {
        id: `own-${limit}`,
        name: limit,
        type: "number",
        min: limit === "upload_quota_mib" ? "1" : "0",
        step: LIMIT_STEPS[limit],
        value: user[limit] ?? "",
        placeholder: w.asEverybody,
      },
      { hint: w.ownLimitHints[limit] },
    ),
  );
  const save = async () => {
    const values = fields.map(({ input }) => [input.name, input.value === "" ? null : Number(input.value)]);
    await api.updateUser(user.id, Object.fromEntries(values));
    dialog.close();
    saved();
  };
  const close = () => dialog.close();
  const cancel = el("button", { type: "button", class: "button quiet", onclick: close }, words.cancel);
  const dialog = el(
    "dialog",
    { class: "dialog", "aria-labelledby": "user-limits-heading", closedby: "any", onclose: () => dialog.remove() },
    el(
      "header",
      null,
      el("h2", { id: "user-limits-heading", dir: "auto" }, w.limitsOf(name)),
      iconButton("close", words.close, { onclick: close }),
    ),
    formOf(fields, { label: words.save, save, extra: [cancel] }),
  );
  document.body.append(dialog);
  dialog.showModal();
  fields[0].input.focus();
}
