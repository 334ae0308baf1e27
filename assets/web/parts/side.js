// The detail of a simple row: a head with its deeds, facts, and what hangs on it.
import { ago, moment, t } from "../i18n.js";
import { rowsOf, stateOf, watch } from "../store.js";
import { h, icon } from "./dom.js";
import { badge } from "./state.js";

/** A name and what it is; nothing when there is nothing to say. */
export const fact = (name, value, aside = "") => (value || value === 0 ? [h("dt", {}, name), h("dd", {}, value, aside && h("span", { class: "muted" }, " · ", aside))] : []);

/** A moment as a distance, the date on hover. */
export const time = (text) => h("time", { datetime: text, title: moment(text) }, ago(text));

/** A titled list of lines; `none` when there is none. */
export function section(title, lines, none = "") {
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h3", {}, title)),
    lines.length ? h("ul", { class: "lines" }, lines) : h("p", { class: "muted pad" }, none));
}

/** The way back and the name. */
export function sideTop(visit, back, title) {
  return [h("button", { type: "button", class: "btn quiet low back", onclick: () => visit() }, icon("left"), back),
    h("h2", {}, title, h("span", { class: "btns" }, h("button", { type: "button", class: "btn square quiet low close", "aria-label": t("close"), title: t("close"), onclick: () => visit() }, icon("x"))))];
}

/** `kind` and `also`: lists it is drawn from; `state(row)`, `say(row)`, `deeds(row, visit)`, `body(row)`. */
export function side({ kind, also = [], back, state, say, deeds, body, name = (row) => row.name }, id, visit) {
  const head = h("div", { class: "detail-head" });
  const main = h("div", { class: "detail-body" });
  const element = h("article", { class: "detail", id: "detail", tabindex: "-1", "aria-label": back }, head, main);
  let drawn = null;

  function draw() {
    const row = rowsOf(kind).get(id);
    if (row === undefined) {
      head.replaceChildren(...sideTop(visit, back, h("span", {}, t(stateOf(kind).loaded ? "gone" : "loading"))));
      main.replaceChildren();
      drawn = null;
      return;
    }
    // An open menu or a chosen button must not vanish under the pointer because another row changed.
    if (drawn !== row) head.replaceChildren(...sideTop(visit, back, [h("span", { class: "clip" }, name(row)), state && badge(state(row))]), h("p", { class: "say" }, say?.(row) ?? ""), h("div", { class: "btns" }, deeds?.(row, visit) ?? []));
    drawn = row;
    main.replaceChildren(...body(row).flat().filter(Boolean));
    dispatchEvent(new Event("crumbs"));
  }

  const ends = [kind, ...also].map((one) => watch(one, draw));
  draw();
  return { element, show: () => {}, end: () => ends.forEach((one) => one()) };
}
