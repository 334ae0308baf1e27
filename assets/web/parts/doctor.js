// What the node that answers finds when it looks at itself. It is asked when somebody opens it, and when told to: a look
// takes seconds and reads the whole database.
import { get } from "../api.js";
import { known, number, t, worded } from "../i18n.js";
import { h } from "./dom.js";
import { time } from "./side.js";
import { stateMark } from "./state.js";

const STATES = { ok: "healthy", warn: "attention", fail: "faulty" };
/** What was found, in the viewer's language; in the node's own words where this page does not know the code. */
const sentence = ({ code, values, says }) => worded(`check.${code}`, values) ?? h("span", { lang: "en" }, says);
/** What to do about it, likewise. */
const advice = ({ advice: code, values, next }) => h("p", { class: "muted" }, t("doctor.next"), " ", h("code", {}, worded(`advice.${code}`, values) ?? next));

const line = (one) => h("li", {}, h("span", { class: "mark-cell" }, stateMark(STATES[one.state])), h("div", { class: "grow" }, h("b", { class: "strong" }, known(`checked.${one.name.replaceAll(" ", "-")}`) ?? one.name, ":"), " ", sentence(one), one.next && advice(one)));

/** The section; it fills itself. */
export function doctor() {
  const at = h("span"), body = h("div", { "aria-live": "polite" });
  const again = h("button", { type: "button", class: "btn low quiet end", title: "girginosvm doctor", onclick: look }, t("doctor.again"));
  const element = h("section", { class: "sec doctor" }, h("div", { class: "sec-head" }, h("h2", {}, t("doctor.title")), at, again), body);
  async function look() {
    again.disabled = true;
    if (!body.firstChild) body.replaceChildren(h("p", { class: "second pad" }, t("loading")));
    try {
      show(await get("/v1/doctor"));
    } catch (fault) {
      body.replaceChildren(h("p", { class: "second pad", role: "alert" }, t("doctor.not", { why: fault.detail ?? fault.message })));
    }
    again.disabled = false;
  }
  function show({ node, at: when, checks }) {
    const bad = checks.filter((one) => one.state !== "ok"), good = checks.filter((one) => one.state === "ok");
    at.replaceChildren(node, " · ", time(when));
    body.replaceChildren(
      bad.length ? h("ul", { class: "lines" }, bad.map(line)) : h("p", { class: "second pad" }, t("doctor.well", { n: number(good.length) })),
      good.length ? h("details", {}, h("summary", { class: "second pad" }, t("doctor.good", { n: number(good.length) })), h("ul", { class: "lines" }, good.map(line))) : "");
  }
  look();
  return element;
}
