// How full something is, and where its line is; what runs on a node, one small square each.
import { number, t } from "../i18n.js";
import { to } from "../router.js";
import { bar, h } from "./dom.js";
import { vmState } from "./state.js";

const MOST_SQUARES = 600;
const NEAR = 0.1;

/** `used`, `near` (within a tenth of its line) or `over`. */
export const pressure = (share, line) => (share > line ? "over" : share > line - NEAR ? "near" : "used");

/** A grey bar; amber near its line, red beyond. */
export function capacityBar(used, all, line, label) {
  const share = all ? used / all : 0;
  return bar(share, pressure(share, line), t("bar", { label, n: Math.round(share * 100) }), line);
}

/** Name, figures, bar, and a sentence. */
export function capacity(name, used, all, picture, foot) {
  return h("div", { class: "cap" }, h("div", { class: "cap-row" }, h("span", { class: "name" }, name), h("span", { class: "val" }, used, " ", h("span", {}, t("of-all", { all })))), picture, h("p", { class: "cap-foot" }, foot));
}

function square(vm) {
  const [kind, word] = vmState(vm), words = `${vm.name}, ${word}`;
  return h("a", { class: `sq ${kind}`, href: to("machines", vm.id), title: words, "aria-label": words, tabindex: "-1" });
}

/** Machines as squares in the colour and shape of their state; one name for screen readers: `label`. */
export function squares(machines, label) {
  const rest = machines.length - MOST_SQUARES;
  return h("div", { class: "squares", role: "group", "aria-label": label }, machines.slice(0, MOST_SQUARES).map(square),
    rest > 0 && h("span", { class: "muted small" }, t("squares.more", { n: number(rest) })));
}
