// The dialog that picks a model: searched by typing, favourites first, and those that are down greyed, with the reason.

import * as api from "./api.js";
import { el, icon, iconButton, place } from "./dom.js";
import { words } from "./lang/en.js";
import { searchField } from "./overlay.js";
import { current, update, usableModels } from "./store.js";

const w = words.models;

/** Lets the user pick one; resolves with its name, or null. */
export function pickModel(selected) {
  const { promise, resolve } = Promise.withResolvers();
  const input = searchField(w.search, "models");
  const list = el("ul", { id: "models", class: "options", role: "listbox", "aria-label": w.heading });
  const favourite = el("button", { type: "button", class: "chip" });
  favourite.addEventListener("click", () => {
    const { name } = found(input.value)[at];
    toggleFavourite(name);
    at = placeOf(name, input.value);
    draw();
  });
  const dialog = el(
    "dialog",
    {
      class: "dialog picker",
      "aria-label": w.heading,
      closedby: "any",
      onclose: () => (dialog.remove(), resolve(null)),
    },
    el("header", null, icon("search"), input, iconButton("close", words.close, { onclick: () => dialog.close() })),
    list,
    el("footer", null, favourite),
  );
  const choose = (name) => {
    resolve(name);
    dialog.close();
  };
  let at = 0;
  const draw = () => {
    const rows = found(input.value);
    at = Math.min(at, Math.max(rows.length - 1, 0));
    place(
      list,
      rows.length === 0
        ? [el("li", { class: "list-note" }, w.none)]
        : rows.map((model, i) => option(model, { selected, active: i === at, choose, draw })),
    );
    input.setAttribute("aria-activedescendant", rows.length ? `model-${at}` : "");
    list.querySelectorAll("[role=option]").forEach((node, i) => (node.id = `model-${i}`));
    list.querySelector("[data-active]")?.scrollIntoView({ block: "nearest" });
    showFavourite(favourite, rows[at]);
    return rows;
  };
  input.addEventListener("input", () => ((at = 0), draw()));
  input.addEventListener("keydown", (event) => {
    const rows = found(input.value);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) at = (at + step + rows.length) % Math.max(rows.length, 1);
    else if (event.key !== "Enter") return;
    event.preventDefault();
    if (step) return draw();
    if (rows[at] && !rows[at].reason) choose(rows[at].name);
  });
  at = placeOf(selected, "");
  draw();
  document.body.append(dialog);
  dialog.showModal();
  list.querySelector("[data-active]")?.scrollIntoView({ block: "nearest" });
  refresh(draw);
  return promise;
}

/** Where a model stands among what is found; the first place if it is not there. */
const placeOf = (name, text) =>
  Math.max(
    found(text).findIndex((model) => model.name === name),
    0,
  );

/** The button below the list is about the active model. */
function showFavourite(button, model) {
  button.hidden = model === undefined;
  if (!model) return;
  const label = model.favourite ? w.unstar(model.name) : w.star(model.name);
  button.replaceChildren(icon(model.favourite ? "star-full" : "star"), el("span", null, label));
}

/** The list may have changed since it was fetched: what is shown is brought up to date in place. */
async function refresh(draw) {
  try {
    update({ models: await api.models() });
    draw();
  } catch {
    // What is known stays.
  }
}

function found(text) {
  const sought = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const favourites = new Set(current().settings.favourite_models ?? []);
  const rows = allModels().map((model) => ({ ...model, favourite: favourites.has(model.name) }));
  const matching = rows.filter(({ name, about }) =>
    sought.every((word) => `${name} ${about}`.toLowerCase().includes(word)),
  );
  // Favourites first, then what works, then what does not; else the server's order.
  const rank = ({ favourite, reason }) => (reason ? 2 : favourite ? 0 : 1);
  return matching.toSorted((a, b) => rank(a) - rank(b));
}

/** Every model the server names: those that can be used, and those that cannot now. */
function allModels() {
  const { providers = [] } = current().models ?? {};
  const up = [...usableModels(), "echo", "library"].map((name) => ({ name, about: w.builtIn[name] ?? "", reason: "" }));
  const down = providers
    .filter(({ reason }) => reason)
    .flatMap(({ name, reason, models }) =>
      (models.length > 0 ? models.map((model) => `${name}/${model}`) : [name]).map((model) => ({
        name: model,
        about: "",
        reason,
      })),
    );
  const seen = new Set();
  return [...up, ...down].filter(({ name }) => !seen.has(name) && seen.add(name));
}

function option({ name, about, reason, favourite }, { selected, active, choose, draw }) {
  // For the pointer only: an option holds no buttons. The button below the list does the same for the active one.
  const star = el(
    "span",
    { class: favourite ? "option-star starred" : "option-star", title: favourite ? w.unstar(name) : w.star(name) },
    icon(favourite ? "star-full" : "star"),
  );
  star.addEventListener("click", (event) => {
    event.stopPropagation();
    toggleFavourite(name);
    draw();
  });
  return el(
    "li",
    {
      role: "option",
      "aria-selected": String(name === selected),
      "aria-disabled": reason ? "true" : null,
      "data-active": active,
      onclick: () => !reason && choose(name),
    },
    el("span", { class: "option-name" }, name),
    reason || about ? el("span", { class: "option-about" }, reason || about) : null,
    el("span", { class: "spacer" }),
    name === selected ? icon("done") : null,
    star,
  );
}

function toggleFavourite(name) {
  const { settings } = current();
  const known = settings.favourite_models ?? [];
  const favourite_models = known.includes(name) ? known.filter((one) => one !== name) : [...known, name];
  update({ settings: { ...settings, favourite_models } });
  // A lost favourite is not worth a word.
  api.putSettings(current().settings).catch(() => {});
}
