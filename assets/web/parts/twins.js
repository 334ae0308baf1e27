// The same deed as a command line and as a REST call: what the fields say now, mistakes included.
import { keyless } from "../api.js";
import { t } from "../i18n.js";
import { h, icon } from "./dom.js";
import { toast } from "./toast.js";

const SAFE = /^[A-Za-z0-9_@%+=:,./-]+$/;
const quote = (text) => (SAFE.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const LINES = 72;
// A password is never written where it could be copied.
const secret = (schema) => schema?.writeOnly && schema.maxLength < 1000;

/** A deed without fields, folded below its question: `line`, `method`, `path`, `body`. */
export function spoken({ line, method, path, body = null }) {
  const pre = (text, label) => h("pre", { tabindex: "0", role: "region", "aria-label": label }, text);
  const call = `${method} ${path}${body ? `\n\n${JSON.stringify(body)}` : ""}`;
  return h("details", { class: "spoken" }, h("summary", {}, t("twin.both")), twin(t("twin.cli"), pre(line, t("twin.cli"))), twin(t("twin.rest"), pre(call, t("twin.rest"))));
}

/** Both twins of `deed` {method, path, cli, positionals}; `show(values, schemas, key)` draws them anew. */
export function twins(deed) {
  const line = h("pre", { tabindex: "0", role: "region", "aria-label": t("twin.cli") });
  const call = h("pre", { tabindex: "0", role: "region", "aria-label": t("twin.rest") });
  const element = h("div", { class: "twins" }, twin(t("twin.cli"), line), twin(t("twin.rest"), call));
  return {
    element,
    show(values, schemas, key) {
      line.replaceChildren(...commandLine(deed, values, schemas));
      const path = deed.path.replace(/\{(\w+)\}/g, (hole, name) => (values[name] ? encodeURIComponent(values[name]) : hole));
      const head = [`${deed.method} ${path}`, ...(keyless(path) ? [] : ["\n", h("span", { class: "o" }, "Idempotency-Key: "), key])];
      if (deed.file) return call.replaceChildren(...head, h("span", { class: "o" }, "\nContent-Type: "), `application/octet-stream\n\n< ${deed.file() || "FILE"}`);
      const body = Object.entries(values).map(([name, value]) => `  "${name}": ${JSON.stringify(secret(schemas[name]) ? "…" : value)}`);
      call.replaceChildren(...head, `\n\n{\n${body.join(",\n")}\n}`);
    },
  };
}

function twin(title, pre) {
  const copy = h("button", { type: "button", class: "btn quiet low", onclick: async () => {
    await navigator.clipboard?.writeText(pre.textContent);
    toast(t("copied"));
  } }, icon("copy"), t("copy"));
  return h("section", { class: "twin" }, h("div", { class: "twin-head" }, title, copy), pre);
}

function commandLine({ cli, positionals = [], file }, values, schemas) {
  const parts = [`girginosvm ${cli}`];
  for (const name of positionals) parts.push(" ", h("span", { class: "v" }, values[name] ? quote(String(values[name])) : name.toUpperCase()));
  let width = parts.reduce((sum, part) => sum + (part.textContent ?? part).length, 0);
  const asked = Object.entries(values).filter(([name]) => !positionals.includes(name) && !secret(schemas[name]));
  const all = [...asked.flatMap(([name, value]) => flags(name, value, schemas[name]).map((one) => [name, ...one])), ...(file ? [["file", "--file", file() ? quote(file()) : "FILE"]] : [])];
  for (const [name, flag, text] of all) {
    if (width + flag.length + text.length > LINES) { parts.push(" \\\n "); width = 2; }
    parts.push(" ", h("span", { class: "o" }, flag), text && " ", text && h("span", { class: name === "name" ? "v" : "" }, text));
    width += flag.length + text.length + 2;
  }
  return parts.filter(Boolean);
}

function flags(name, value, schema) {
  const flag = `--${schema?.["x-flag"] ?? name.replaceAll("_", "-")}`;
  if (Array.isArray(value)) return value.map((one) => [flag, quote(one)]);
  if (typeof value === "boolean") return [[value ? flag : flag.replace("--", "--no-"), ""]];
  if (schema?.["x-file"] && String(value).length > 40) return [[flag, "FILE"]];
  return value === null || value === "" ? [] : [[flag, quote(String(value))]];
}
