// A JSON schema (2020-12, as OpenAPI 3.1 has it) for people to read: types in a few words, objects as lists of fields.

import { el } from "./dom.js";

/** Inline code in backquotes, emphasis in asterisks; the only Markdown that the document's sentences use. */
export function prose(text) {
  return text.split(/(`[^`]+`|\*[^*]+\*)/).map((part) => {
    if (part.startsWith("`")) return el("code", null, part.slice(1, -1));
    if (part.startsWith("*")) return el("em", null, part.slice(1, -1));
    return part;
  });
}

const nameOf = (reference) => reference.split("/").pop();

const PLURALS = { string: "strings", integer: "integers", number: "numbers", boolean: "booleans", object: "objects" };

/** "string or null", "list of Chat", with a link where a schema has a name. */
export function typeWords(schema) {
  if (schema === true || schema == null) return ["anything"];
  if (schema.$ref) return [el("a", { href: `#schema-${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.flatMap((choice, i) => (i ? [" or ", ...typeWords(choice)] : typeWords(choice)));
  const types = [schema.type ?? "anything"].flat();
  return types.flatMap((type, i) => [
    i ? " or " : "",
    ...(type === "array" ? listWords(schema.items) : [type]),
    i === 0 && schema.format && !/^u?int/.test(schema.format) ? ` (${schema.format})` : "",
  ]);
}

function listWords(items) {
  const simple = typeof items?.type === "string" && PLURALS[items.type];
  return simple ? [`list of ${simple}`] : ["list of ", ...typeWords(items)];
}

/** What a value must keep to beyond its type, in words. */
function limits(schema) {
  const { enum: values, const: only, minLength, maxLength, minimum, maximum, pattern, not } = schema;
  const range = (low, high, unit) => {
    if (low != null && high != null) return `${low} to ${high}${unit}`;
    return low != null ? `at least ${low}${unit}` : `at most ${high}${unit}`;
  };
  return [
    values && `one of ${values.map((value) => JSON.stringify(value)).join(", ")}`,
    only !== undefined && `always ${JSON.stringify(only)}`,
    (minLength ?? maxLength) != null && range(minLength, maxLength, " characters"),
    (minimum ?? maximum) != null && range(minimum, maximum, ""),
    pattern && `matches ${pattern}`,
    not?.pattern && `does not match ${not.pattern}`,
    schema.default != null && `default ${JSON.stringify(schema.default)}`,
  ].filter(Boolean);
}

/** One field, parameter or item: its name, type, limits and description. */
export function fieldRow(name, schema, { required, place, description }) {
  return el(
    "div",
    { class: "field" },
    el("dt", null, el("code", null, name), required && el("span", { class: "required" }, "required")),
    el(
      "dd",
      null,
      el(
        "span",
        { class: "type" },
        place && `${place}, `,
        typeWords(schema),
        limits(schema).map((limit) => `, ${limit}`),
      ),
      (description ?? schema.description) && el("p", null, prose(description ?? schema.description)),
      schema.properties && fieldList(schema),
      schema.items?.properties && fieldList(schema.items),
    ),
  );
}

/** The fields of an object. */
export function fieldList(schema) {
  const required = new Set(schema.required);
  const rows = Object.entries(schema.properties).map(([name, field]) =>
    fieldRow(name, field, { required: required.has(name) }),
  );
  return el("dl", { class: "fields" }, rows);
}

/** A whole schema: its fields if it is an object, else its type; and those that it is made of. */
export function schemaView(schema) {
  return el(
    "div",
    { class: "schema" },
    schema.description && el("p", null, prose(schema.description)),
    schema.properties ? fieldList(schema) : el("p", { class: "type" }, typeWords(schema), limits(schema).join(", ")),
    (schema.allOf ?? []).map((part) => el("p", { class: "type" }, "and ", typeWords(part))),
    schema.properties && schema.anyOf && el("p", { class: "type" }, "with ", schema.anyOf.flatMap(choiceWords)),
  );
}

/** One of the forms that an object may have: its name, or the fields that it must have. */
function choiceWords(choice, i) {
  const words = choice.required?.map((name) => el("code", null, name)) ?? typeWords(choice);
  return i ? [" or ", ...words] : words;
}
