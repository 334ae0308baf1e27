// The door.
import { signIn as begin } from "../api.js";
import { t } from "../i18n.js";
import { complaint } from "../parts/dialog.js";
import { h, svg } from "../parts/dom.js";

/** The page; `done()` when the session has begun. */
export function signIn(corner, done) {
  const wrong = complaint();
  const name = h("input", { class: "in", name: "username", autocomplete: "username", required: true, spellcheck: "false", autocapitalize: "none" });
  const password = h("input", { class: "in", name: "password", type: "password", autocomplete: "current-password", required: true });
  const fresh = h("input", { class: "in", name: "new-password", type: "password", autocomplete: "new-password", minlength: "12" });
  const choose = h("div", { hidden: true }, h("p", { class: "say" }, t("sign-in.choose")), h("label", { class: "f" }, h("span", {}, t("sign-in.new")), fresh));
  const button = h("button", { type: "submit", class: "btn primary" }, t("sign-in"));
  const form = h("form", { "aria-labelledby": "h-in", novalidate: true, onsubmit: submit },
    h("p", { class: "brand" }, svg("svg", { "aria-hidden": "true" }, svg("use", { href: "#i-mark" })), "girginosvm"),
    h("h1", { id: "h-in" }, t("sign-in.title", { host: location.hostname })), h("p", { class: "say" }, t("sign-in.say")), wrong.box,
    h("label", { class: "f" }, h("span", {}, t("sign-in.name")), name), h("label", { class: "f" }, h("span", {}, t("sign-in.password")), password), choose, button);
  async function submit(event) {
    event.preventDefault();
    if (!choose.hidden && fresh.value.length < fresh.minLength) {
      wrong.show({ message: t("sign-in.short") });
      fresh.focus();
      return;
    }
    button.disabled = true;
    password.removeAttribute("aria-invalid");
    try {
      if (await begin(name.value.trim(), password.value, fresh.value)) {
        wrong.clear();
        choose.hidden = false;
        fresh.focus();
      } else done();
    } catch (problem) {
      wrong.show(problem);
      if (!choose.hidden) {
        button.disabled = false;
        fresh.focus();
        return;
      }
      password.setAttribute("aria-invalid", "true");
      password.value = "";
      password.focus();
    }
    button.disabled = false;
  }
  return h("main", { class: "door" }, h("div", { class: "corner" }, corner), form, h("footer", {}, h("p", {}, t("sign-in.foot"))));
}
