// The API's reference: every operation of openapi.json by tag, every schema, and a box to find things with. Fetches that
// document and nothing else.

import { el } from "./dom.js";
import { fieldRow, prose, schemaView, typeWords } from "./schema.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const root = new URL(`${document.body.dataset.root}/`, location);
const contents = document.querySelector(".contents");
const reference = document.querySelector("#reference");

const method = (name) => el("span", { class: `method ${name}` }, name.toUpperCase());

function operations(spec) {
  return Object.entries(spec.paths).flatMap(([path, item]) =>
    METHODS.filter((name) => item[name]).map((name) => ({ path, name, ...item[name] })),
  );
}

function header(spec, filter) {
  const { title, version, description } = spec.info;
  return el(
    "header",
    null,
    el("h1", null, `${title} API `, el("span", { class: "version" }, version)),
    description.split("\n\n").map((paragraph) => el("p", null, prose(paragraph))),
    el(
      "p",
      { class: "elsewhere" },
      el("a", { class: "link", href: new URL("docs", root) }, "Try it out"),
      el("a", { class: "link", href: new URL("openapi.json", root) }, "openapi.json"),
    ),
    filter,
  );
}

function bodyView(content) {
  // The same schema under several media types is shown once.
  const bySchema = Map.groupBy(Object.entries(content), ([, { schema }]) => JSON.stringify(schema));
  return [...bySchema.values()].map((entries) =>
    el(
      "p",
      null,
      entries.map(([media], i) => [i ? ", " : "", el("code", null, media)]).flat(),
      entries[0][1].schema && [": ", ...typeWords(entries[0][1].schema)],
    ),
  );
}

function responseRow(spec, status, response) {
  const shared = response.$ref?.split("/").pop();
  const { description, headers, content = {} } = shared ? spec.components.responses[shared] : response;
  return el(
    "div",
    { class: "field" },
    el("dt", null, el("code", { class: status < 400 ? "good" : "bad" }, status)),
    el(
      "dd",
      null,
      el("p", null, prose(description)),
      bodyView(content),
      Object.keys(headers ?? {}).map((name) => el("p", null, "with ", el("code", null, name))),
    ),
  );
}

function responsesView(spec, responses) {
  const rows = (wanted) =>
    Object.entries(responses)
      .filter(([status]) => wanted(Number(status)))
      .map(([status, response]) => responseRow(spec, status, response));
  return [
    el("h4", null, "Answers"),
    el("dl", { class: "fields" }, rows((status) => status < 400)),
    el(
      "details",
      null,
      el("summary", null, "Errors"),
      el("dl", { class: "fields" }, rows((status) => status >= 400)),
    ),
  ];
}

function operationView(spec, operation) {
  const { path, name, summary, operationId, parameters, requestBody, responses, security } = operation;
  return el(
    "article",
    { id: operationId, class: "operation" },
    el("h3", null, method(name), " ", el("a", { href: `#${operationId}` }, el("code", null, path))),
    el("p", { class: "summary" }, summary),
    security && el("p", { class: "note" }, "Needs a token."),
    parameters && [
      el("h4", null, "Parameters"),
      el(
        "dl",
        { class: "fields" },
        parameters.map((parameter) =>
          fieldRow(parameter.name, parameter.schema, {
            required: parameter.required,
            place: parameter.in,
            description: parameter.description,
          }),
        ),
      ),
    ],
    requestBody && [el("h4", null, "Body"), ...bodyView(requestBody.content)],
    responsesView(spec, responses),
  );
}

/** A section of the page and its part of the contents. `entries` hold a node, a link and the words to find them by. */
function section(id, title, about, entries) {
  const heading = el("h2", { id }, title);
  const links = el("ul", null, entries.map(({ link }) => el("li", null, link)));
  return {
    entries,
    view: el("section", { "aria-labelledby": id }, heading, about && el("p", null, about), entries.map((it) => it.node)),
    group: el("div", { class: "group" }, el("h2", null, el("a", { href: `#${id}` }, title)), links),
  };
}

function sections(spec) {
  const all = operations(spec);
  const tags = spec.tags.map(({ name, description }) => {
    const own = all.filter((operation) => operation.tags.includes(name));
    const entries = own.map((operation) => ({
      node: operationView(spec, operation),
      link: el("a", { href: `#${operation.operationId}` }, method(operation.name), " ", operation.path),
      words: `${operation.name} ${operation.path} ${operation.summary}`.toLowerCase(),
    }));
    return section(`tag-${name.toLowerCase().replaceAll(" ", "-")}`, name, description, entries);
  });
  const schemas = Object.entries(spec.components.schemas).map(([name, schema]) => ({
    node: el(
      "article",
      { id: `schema-${name}`, class: "operation" },
      el("h3", null, el("a", { href: `#schema-${name}` }, el("code", null, name))),
      schemaView(schema),
    ),
    link: el("a", { href: `#schema-${name}` }, name),
    words: `${name} ${Object.keys(schema.properties ?? {}).join(" ")}`.toLowerCase(),
  }));
  return [...tags, section("schemas", "Schemas", "What is sent and answered.", schemas)];
}

/** Shows what has all of these words and hides the rest. */
function show(parts, text, status) {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const { entries, view, group } of parts) {
    let shown = 0;
    for (const { node, link, words } of entries) {
      const isMeant = wanted.every((word) => words.includes(word));
      node.hidden = link.parentElement.hidden = !isMeant;
      shown += isMeant;
    }
    view.hidden = group.hidden = shown === 0;
    count += shown;
  }
  status.textContent = wanted.length && !count ? "Nothing has these words." : "";
}

function start(spec) {
  const parts = sections(spec);
  const status = el("p", { class: "note", role: "status" });
  const box = el("input", {
    type: "search",
    id: "filter",
    class: "filter",
    placeholder: "Filter: a path, a word, a schema",
    autocomplete: "off",
    oninput: () => show(parts, box.value, status),
  });
  const filter = el("search", null, el("label", { class: "unseen", for: "filter" }, "Filter"), box, status);
  reference.append(header(spec, filter), ...parts.map(({ view }) => view));
  // On a narrow screen the contents fold away, above the reference.
  const wide = matchMedia("(min-width: 60rem)");
  const fold = el("details", { open: wide.matches }, el("summary", null, "Contents"), parts.map(({ group }) => group));
  wide.addEventListener("change", () => (fold.open = wide.matches));
  contents.append(fold);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input")) {
      event.preventDefault();
      box.focus();
    }
  });
  // What an address points to was not there when the browser looked for it.
  if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

try {
  const response = await fetch(new URL("openapi.json", root));
  start(await response.json());
} catch {
  reference.append(el("p", { role: "alert" }, "The document could not be read. Reload the page to try again."));
}
