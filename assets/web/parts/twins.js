// The same deed as a command line and as a REST call: what the fields say now, mistakes included.
import { t } from "../i18n.js";
import { h, icon } from "./dom.js";
import { toast } from "./toast.js";

const SAFE = /^[A-Za-z0-9_@%+=:,./-]+$/;
const quote = (text) => (SAFE.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** Both twins of `deed` {method, path, cli}; `show(values, schemas, key)` draws them anew. */
export function twins(deed) {
  const line = h("pre", { tabindex: "0", role: "region", "aria-label": t("twin.cli") });
  const call = h("pre", { tabindex: "0", role: "region", "aria-label": t("twin.rest") });
  const element = h("div", { class: "twins" }, twin(t("twin.cli"), line), twin(t("twin.rest"), call));
  return {
    element,
    show(values, schemas, key) {
      line.replaceChildren(...commandLine(deed.cli, values, schemas));
      const body = JSON.stringify(values, null, 1).replace(/\n\s*/g, " ").replace(/", "/g, '",\n "').replace(/(\d|true|false|\]|null), "/g, '$1,\n "');
      call.replaceChildren(`${deed.method} ${deed.path}\n`, h("span", { class: "o" }, "Idempotency-Key: "), `${key}\n\n`, body);
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

function commandLine(verb, values, schemas) {
  const parts = [`girginosvm ${verb}`];
  let width = parts[0].length;
  for (const [name, value] of Object.entries(values)) {
    for (const [flag, text] of flags(name, value, schemas[name])) {
      if (width + flag.length + text.length > 72) { parts.push(" \\\n "); width = 2; }
      parts.push(" ", h("span", { class: "o" }, flag), text && " ", text && h("span", { class: name === "name" ? "v" : "" }, text));
      width += flag.length + text.length + 2;
    }
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
