// Questions. Only what destroys asks for the name; nothing asks twice.
import { t } from "../i18n.js";
import { h, icon, shape } from "./dom.js";
import { gate } from "./gate.js";
import { spoken } from "./twins.js";

/** A modal dialog that goes when it closes. Returns the element. */
export function dialog(title, body, foot, { alert = false, wide = "" } = {}) {
  const box = h("dialog", { class: `float dialog ${wide}`, role: alert ? "alertdialog" : null, "aria-labelledby": "dialog-title" },
    h("div", { class: "in-head" }, h("h2", { id: "dialog-title" }, title)),
    h("div", { class: "in-body" }, body),
    foot.length > 0 && h("div", { class: "in-foot" }, foot));
  const before = document.activeElement;
  box.addEventListener("close", () => {
    box.remove();
    before?.focus?.();
  });
  box.addEventListener("click", (event) => event.target === box && box.close());
  document.body.append(box);
  box.showModal();
  return box;
}

/** Where a dialog shows why its deed was not done. */
export function complaint() {
  const text = h("p");
  const box = h("div", { class: "sum", role: "alert", hidden: true }, shape("fault"), text);
  return {
    box,
    show(problem) {
      text.textContent = problem.hint ? `${problem.message} ${problem.hint}` : problem.message;
      box.hidden = false;
    },
    clear() {
      box.hidden = true;
    },
  };
}

/** Ask before a deed. `deed()` may throw a Problem: it is shown, and the dialog stays. `name` has to be typed when it
 *  is given; `same`: {line, method, path, body}, the deed as a command line and as a REST call, or what makes it of
 *  the fields. */
export function ask({ title, body, button, danger = false, deed, name = "", same = null }) {
  const wrong = complaint();
  const last = gate(h("button", { type: "submit", class: danger ? "btn danger solid" : "btn primary", disabled: Boolean(name) }, button));
  const keep = h("button", { type: "button", class: "btn", onclick: () => box.close() }, name ? t("destroy.keep") : t("cancel"));
  const typed = name && h("input", { class: "in", id: "typed-name", autocomplete: "off", spellcheck: "false",
    oninput: () => { last.disabled = typed.value !== name; } });
  const label = name && h("label", { for: "typed-name", class: "small second" }, ...around(t("destroy.type", { name: "\u0000" }), name));
  const form = h("form", { novalidate: true, onsubmit: submit }, wrong.box, body, label, typed);
  const twin = typeof same === "function" ? (fields) => spoken(same(fields)) : same && (() => spoken(same));
  if (twin) form.append(twin(new FormData(form)));
  if (typeof same === "function") form.addEventListener("input", retell);
  form.id = "dialog-form";
  last.setAttribute("form", "dialog-form");
  const box = dialog(title, form, [keep, last], { alert: true });
  (typed || last).focus();
  function retell() {
    const fresh = twin(new FormData(form));
    fresh.open = form.lastChild.open;
    form.lastChild.replaceWith(fresh);
  }
  async function submit(event) {
    event.preventDefault();
    if (last.disabled || last.ariaDisabled === "true") return;
    last.disabled = true;
    try {
      await deed(new FormData(form));
      box.close();
    } catch (problem) {
      wrong.show(problem);
      last.disabled = false;
    }
  }
}

function around(text, name) {
  const [before, after = ""] = text.split("\u0000");
  return [before, h("b", { class: "strong" }, name), after];
}

/** What a deed will hit, line by line: [icon, bold, rest, fate, kept]. */
export function blast(lines) {
  return h("ul", { class: "blast" }, lines.map(([picture, bold, rest, fate, kept]) =>
    h("li", {}, icon(picture), h("span", {}, h("b", {}, bold), rest && ` ${rest}`), h("span", { class: kept ? "end kept" : "end" }, fate))));
}
