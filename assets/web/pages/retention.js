// How long the whole cluster keeps its history, and changing that.
import { may } from "../access.js";
import { get, send } from "../api.js";
import { number, t } from "../i18n.js";
import { ask } from "../parts/dialog.js";
import { h } from "../parts/dom.js";
import { gate } from "../parts/gate.js";
import { fact } from "../parts/side.js";
import { toast } from "../parts/toast.js";

const PATH = "/v1/retention";
const FIELDS = { event_days: "retention.events", operation_days: "retention.operations" };
const shown = (days) => (days ? t("retention.days", { n: number(days) }) : t("retention.ever"));

/** The section; it fills itself. */
export function retention() {
  const facts = h("dl", { class: "facts pad" });
  const end = h("span", { class: "end" });
  const element = h("section", { class: "sec retention", hidden: true }, h("div", { class: "sec-head" }, h("h2", {}, t("retention.title")), end), facts);
  function show(kept) {
    facts.replaceChildren(...Object.entries(FIELDS).flatMap(([name, key]) => fact(t(key), shown(kept[name]))));
    if (may("event.retain")) end.replaceChildren(gate(h("button", { type: "button", class: "btn low", onclick: () => change(kept, show) }, t("retention.change"))));
    element.hidden = false;
  }
  get(PATH).then(show, () => {});
  return element;
}

function change(kept, show) {
  const said = (form) => Object.fromEntries(Object.keys(FIELDS).map((name) => [name, Number(form.get(name))]));
  const line = (values) => Object.entries(values).map(([name, days]) => ` --${name.replace("_", "-")} ${days}`).join("");
  const field = ([name, key]) => h("label", { class: "field" }, h("span", {}, t(key)), h("input", { class: "in", type: "number", name, min: "0", max: "36500", required: true, value: String(kept[name]) }));
  ask({
    title: t("retention.ask"), button: t("retention.do"), danger: true,
    same: (form) => ({ line: `girginosvm retention set${line(said(form))} --yes`, method: "POST", path: PATH, body: said(form) }),
    body: [h("p", {}, t("retention.say")), ...Object.entries(FIELDS).map(field)],
    async deed(form) {
      show(await send("POST", PATH, said(form)));
      toast(t("retention.changed"));
    },
  });
}
