// A form drawn from an operation's JSON schema: bounds, units, references, and the consequence beside the field.
import { known, said, t } from "../i18n.js";
import { rowsOf } from "../store.js";
import { h, icon, shape } from "./dom.js";

const REFS = { image: "images", network: "networks", pool: "pools", node: "nodes" };
const LONG = 1000;

/** Follow a `$ref`, and take the one real branch of a union with null. */
export function plain(schema, root) {
  let found = schema;
  while (found?.$ref) found = { ...at(root, found.$ref), ...rest(found) };
  const branches = (found?.anyOf ?? []).filter((one) => one.type !== "null");
  return branches.length === 1 ? { ...plain(branches[0], root), ...rest(found) } : found;
}

const at = (root, pointer) => pointer.replace(/^#\//, "").split("/").reduce((part, key) => part?.[key], root);
const rest = ({ $ref, anyOf, ...others }) => others;

/** Groups of fields in the order of `groups`; those the schema does not place come last. */
function grouped(properties, groups) {
  const found = new Map(groups.map((name) => [name, []]));
  for (const [name, schema] of Object.entries(properties)) {
    const group = schema["x-form"]?.group ?? groups[0];
    if (!found.has(group)) found.set(group, []);
    found.get(group).push([name, schema]);
  }
  return [...found].filter(([, fields]) => fields.length);
}

/**
 * `consequences`: name -> (value, all values) -> text; `preset`: name -> first value; `without`: fields left out. `changed(values)` after each change.
 * Answers {element, values(), faults(list), focus()}.
 */
export function form(schema, { groups, consequences = {}, changed = () => {}, preset = {}, without = [] }) {
  const root = schema;
  const properties = Object.fromEntries(Object.entries(plain(schema, root).properties).filter(([name]) => !without.includes(name)).map(([name, one]) => [name, plain(one, root)]));
  const required = (plain(schema, root).required ?? []).filter((name) => !without.includes(name));
  const fields = new Map();
  const summary = h("div", { class: "sum", role: "alert", hidden: true });
  const element = h("div", { class: "form" }, summary, grouped(properties, groups).map(([group, members]) =>
    h("fieldset", {}, h("legend", {}, known(`group.${group}`) ?? group), members.map(([name, one]) => row(name, one)))));

  function row(name, one) {
    const control = controlOf(name, one, required.includes(name), update);
    if (name in preset) { control.input.value = preset[name]; control.wish = preset[name]; }
    const error = h("p", { class: "err", id: `e-${name}`, hidden: true }, shape("fault"), h("span"));
    const say = h("p", { class: "say", id: `s-${name}` });
    control.input.setAttribute("aria-describedby", `s-${name} e-${name}`);
    fields.set(name, { ...control, error, say, schema: one });
    const label = control.tick ? h("span", { class: "label" }) : h("label", { for: `f-${name}` }, labelOf(name));
    return h("div", { class: "row" }, label, h("div", {}, control.element, error), say);
  }

  function update() {
    const values = read();
    for (const [name, field] of fields) {
      const fate = consequences[name]?.(values[name], values);
      field.say.replaceChildren(...[fate || hintOf(name, field.schema)].flat());
    }
    changed(values);
  }

  function read() {
    return Object.fromEntries([...fields].map(([name, field]) => [name, field.read()]));
  }

  /** Only what differs from the schema's own defaults, and what is required. */
  function values() {
    return Object.fromEntries([...fields].map(([name, field]) => [name, field.read()]).filter(([name, value]) =>
      required.includes(name) || JSON.stringify(value) !== JSON.stringify(fields.get(name).schema.default ?? blank(value))));
  }

  function faults(list) {
    for (const field of fields.values()) {
      field.error.hidden = true;
      field.input.removeAttribute("aria-invalid");
    }
    const links = list.map(({ pointer = "", detail, detail_said: one }) => mark(pointer.replace(/^\//, "").split("/")[0], said(one) ?? detail)).filter(Boolean);
    summary.hidden = !links.length;
    const text = t(links.length === 1 ? "form.one-fault" : "form.faults", { n: links.length });
    summary.replaceChildren(shape("fault"), h("p", {}, h("b", { class: "strong" }, text), " ", ...links.flatMap((link, n) => (n ? [", ", link] : [link])), ". ", t("form.nothing-done")));
    return links.length;
  }

  function mark(name, detail) {
    const field = fields.get(name);
    if (!field) return null;
    field.error.lastChild.textContent = detail;
    field.error.hidden = false;
    field.input.setAttribute("aria-invalid", "true");
    return h("a", { href: location.hash, onclick: (event) => { event.preventDefault(); field.input.focus(); } }, labelOf(name));
  }

  update();
  return { element, values, faults, all: read, schemas: properties, update, focus: () => fields.values().next().value?.input.focus(),
    refill: () => { for (const field of fields.values()) field.refill?.(); update(); } };
}

const blank = (value) => (Array.isArray(value) ? [] : typeof value === "boolean" ? false : typeof value === "number" ? null : "");

/** A field's name as a person reads it. */
export const labelOf = (name) => known(`field.${name}`) ?? name.replaceAll("_", " ");

function hintOf(name, schema) {
  const text = known(`hint.${name}`) ?? schema.description ?? "";
  if (schema.type !== "integer" || schema["x-unit"]) return text;
  const bounds = schema.maximum !== undefined && schema.minimum !== undefined ? ` ${schema.minimum}–${schema.maximum}.` : "";
  return text + bounds;
}

function controlOf(name, schema, required, update) {
  const common = { id: `f-${name}`, name, oninput: update, "aria-required": required ? "true" : null };
  if (REFS[schema["x-ref"]]) return choice(common, schema, REFS[schema["x-ref"]]);
  if (schema.enum) return options(common, schema, schema.enum.map((one) => [one, known(`option.${one}`) ?? one]));
  if (schema.type === "boolean") return tick(common, name, schema);
  if (schema.type === "integer" || schema.type === "number") return figure(common, schema);
  if (schema.type === "array") return lines(common, schema);
  if (schema.writeOnly && schema.maxLength < LONG) {
    const secret = h("input", { ...common, class: "in", type: "password", autocomplete: "new-password" });
    return { element: secret, input: secret, read: () => secret.value };
  }
  const input = (schema.maxLength ?? 0) >= LONG
    ? h("textarea", { ...common, class: "in mono", rows: 3, spellcheck: "false" })
    : h("input", { ...common, class: "in", autocomplete: "off", spellcheck: "false" });
  input.value = schema.default ?? "";
  return { element: input, input, read: () => input.value };
}

function options(common, schema, entries) {
  const input = h("select", { ...common, class: "in" }, entries.map(([value, text]) => h("option", { value }, text)));
  input.value = schema.default ?? entries[0]?.[0] ?? "";
  return { element: h("span", { class: "pick" }, input, icon("down")), input, read: () => input.value };
}

function choice(common, schema, kind) {
  const control = options(common, schema, []);
  control.refill = () => {
    const value = control.wish || control.input.value || schema.default;
    const rows = [...rowsOf(kind).values()].filter((row) => (row.state ?? "ready") === "ready");
    const texts = rows.map((row) => [row.name, [row.name, row.version || row.cidr || row.path].filter(Boolean).join(" · ")]);
    if (schema.default === "") texts.unshift(["", t("form.any")]);
    control.input.replaceChildren(...texts.map(([name, text]) => h("option", { value: name }, text)));
    if (rows.some((row) => row.name === value)) control.input.value = value;
    if (control.input.value === control.wish) control.wish = "";
    control.input.disabled = !rows.length;
  };
  control.refill();
  return control;
}

function tick(common, name, schema) {
  const input = h("input", { ...common, type: "checkbox", checked: Boolean(schema.default) });
  return { element: h("label", { class: "tick" }, input, h("span", {}, labelOf(name))), input, tick: true, read: () => input.checked };
}

function figure(common, schema) {
  const memory = schema["x-unit"] === "MiB";
  const scale = memory ? 1024 : 1;
  const input = h("input", { ...common, class: "in", inputmode: memory ? "decimal" : "numeric", autocomplete: "off" });
  input.value = schema.default === undefined ? "" : schema.default / scale;
  const unit = schema["x-unit"] ? h("span", {}, memory ? "GiB" : schema["x-unit"]) : null;
  // What is no number goes to the server as typed: it knows the sentence.
  const read = () => {
    const text = input.value.trim().replace(",", ".");
    return text === "" ? null : Number.isNaN(Number(text)) ? text : scale === 1 ? Number(text) : Math.round(Number(text) * scale);
  };
  return { element: h("span", { class: "unit short" }, input, unit), input, read };
}

function lines(common, schema) {
  const input = h("textarea", { ...common, class: "in mono", rows: 2, spellcheck: "false" });
  input.value = (schema.default ?? []).join("\n");
  return { element: input, input, read: () => input.value.split("\n").map((line) => line.trim()).filter(Boolean) };
}
