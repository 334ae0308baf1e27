// Settings: oneself, people who may sign in, and tokens of programs.
import { may, mayOpen } from "../access.js";
import { get, person, renewed, send } from "../api.js";
import { number, t } from "../i18n.js";
import { ask, blast } from "../parts/dialog.js";
import { h, icon } from "../parts/dom.js";
import { gate } from "../parts/gate.js";
import { fact, time } from "../parts/side.js";
import { stateMark } from "../parts/state.js";
import { toast } from "../parts/toast.js";
import { to } from "../router.js";
import { rowsOf, soon, stateOf, watch } from "../store.js";
import { retention } from "./retention.js";

const label = (text, input) => h("label", { class: "field" }, h("span", {}, text), input);
const secret = (name, complete) => h("input", { class: "in", type: "password", name, autocomplete: complete });
const button = (text, deed, more = {}) => gate(h("button", { type: "button", class: "btn low", onclick: deed, ...more }, text));

async function now(path, said, name, lists) {
  try {
    await send("POST", path);
    lists.forEach((list) => soon(list, 0));
    toast(t(said, { name }));
  } catch (problem) { toast(problem.message, "fault"); }
}

function changeOwn() {
  ask({ title: t("password.own"), button: t("password.change"), same: { line: "girginosvm user password EMAIL", method: "POST", path: "/v1/auth/password", body: { current: "…", new: "…" } },
    body: [label(t("password.current"), secret("current", "current-password")), label(t("sign-in.new"), secret("fresh", "new-password"))],
    async deed(form) {
      const answer = await send("POST", "/v1/auth/password", { current: form.get("current"), new: form.get("fresh") });
      renewed(answer.token);
      toast(t("password.changed"));
    } });
}

function setPassword(user) {
  const path = `/v1/users/${encodeURIComponent(user.id)}/password`;
  ask({ title: t("password.of", { name: user.email }), button: t("password.set", { name: user.email }), same: { line: `girginosvm user password ${user.email}`, method: "POST", path, body: { password: "…" } },
    body: [h("p", {}, t("password.of.say")), label(t("sign-in.new"), secret("fresh", "new-password"))],
    async deed(form) {
      await send("POST", path, { password: form.get("fresh") });
      toast(t("password.changed"));
    } });
}

function disable(user) {
  const path = `/v1/users/${encodeURIComponent(user.id)}/disable`;
  ask({ title: t("disable.title", { name: user.email }), danger: true, button: t("disable.do", { name: user.email }), same: { line: `girginosvm user disable ${user.email}`, method: "POST", path },
    body: [blast([["key", t(user.sessions === 1 ? "user.sessions.one" : "user.sessions", { n: number(user.sessions) }), "", t("disable.ended")]])],
    async deed() { await send("POST", path); soon("users", 0); } });
}

function revoke(token) {
  const path = `/v1/tokens/${encodeURIComponent(token.id)}`;
  ask({ title: t("revoke.title", { name: token.name }), danger: true, button: t("revoke.do", { name: token.name }), same: { line: `girginosvm token revoke ${token.name}`, method: "DELETE", path },
    body: [h("p", {}, t("revoke.say"))],
    async deed() { await send("DELETE", path); soon("tokens", 0); } });
}

function userLine(user) {
  const name = user.email;
  return h("li", {}, h("span", { class: "mark-cell" }, stateMark(user.disabled ? "disabled" : "active")), h("b", { class: "strong clip" }, name), h("span", { class: "muted" }, t(`role.${user.role}`)),
    h("span", { class: "muted hide-n" }, user.must_change_password ? t("user.must-change") : t(user.sessions === 1 ? "user.sessions.one" : "user.sessions", { n: number(user.sessions) })),
    h("span", { class: "end btns" }, button(t("password.set-short"), () => setPassword(user), { "aria-label": t("password.set", { name }) }),
      user.disabled ? button(t("enable"), () => now(`/v1/users/${encodeURIComponent(user.id)}/enable`, "said.enabled", name, ["users"]), { "aria-label": t("enable.of", { name }) }) : button(t("disable"), () => disable(user), { "aria-label": t("disable.of", { name }) })));
}

function tokenLine(token) {
  return h("li", {}, h("span", { class: "mark-cell" }, stateMark(token.state)), h("b", { class: "strong clip" }, token.name), h("span", { class: "muted" }, t(`role.${token.role}`)),
    h("span", { class: "muted hide-n" }, token.expires_at ? t("token.until", { when: "" }) : t("token.forever"), token.expires_at && time(token.expires_at)), h("span", { class: "muted hide-n" }, token.created_by),
    h("span", { class: "end" }, token.state === "active" && button(t("revoke"), () => revoke(token), { "aria-label": t("revoke.of", { name: token.name }) })));
}

function people(kind, title, lineOf, none, add, address) {
  const { loaded, problem } = stateOf(kind);
  const rows = [...rowsOf(kind).values()];
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, title), h("span", {}, loaded ? number(rows.length) : ""), h("span", { class: "end" }, mayOpen(address) && h("a", { class: "btn low", href: address }, icon("plus"), add))),
    problem ? h("p", { class: "second pad" }, problem.message) : rows.length ? h("ul", { class: "lines" }, rows.map(lineOf)) : h("p", { class: "muted pad" }, loaded ? none : t("loading")));
}

/** The page. */
export function settings(_rest, corner) {
  const element = h("div", { class: "page" });
  const kept = retention();
  let self = null;
  function draw() {
    element.replaceChildren(h("div", { class: "head" }, h("h1", { class: "same" }, t("place.settings"))), h("div", { class: "stack" },
      h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, t("settings.you")), h("span", { class: "end btns" }, corner())),
        h("dl", { class: "facts pad" }, fact(t("col.name"), person()?.name), fact(t("field.role"), self && t(`role.${self.role}`), self && t(`role.${self.role}.say`))), h("p", { class: "pad" }, button(t("password.own.short"), changeOwn))),
      may("user.read") && people("users", t("settings.people"), userLine, "", t("user.create"), to("settings", "users", "new")),
      may("token.read") && people("tokens", t("settings.tokens"), tokenLine, t("token.none"), t("token.create"), to("settings", "tokens", "new")), kept));
  }
  const ends = ["users", "tokens"].filter((kind) => may(`${kind.slice(0, -1)}.read`)).map((kind) => watch(kind, draw));
  get("/v1/auth/whoami").then((answer) => { self = answer; draw(); }).catch(() => {});
  draw();
  return { element, crumbs: () => [[t("place.settings"), ""]], end: () => ends.forEach((one) => one()) };
}
