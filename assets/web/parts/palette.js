// Search over machines and places; Ctrl+K.
import { t } from "../i18n.js";
import { go, to } from "../router.js";
import { rowsOf } from "../store.js";
import { dialog } from "./dialog.js";
import { h, icon } from "./dom.js";
import { stateMark } from "./state.js";

const MOST = 8;

function found(text, places) {
  const wanted = text.trim().toLowerCase();
  const machines = [...rowsOf("vms").values()].filter((vm) => !wanted || `${vm.name} ${vm.addresses?.join(" ")} ${vm.macs?.join(" ")}`.toLowerCase().includes(wanted));
  const lines = machines.slice(0, MOST).map((vm) => ({ mark: stateMark(vm.state), text: vm.name, more: vm.addresses?.[0] ?? "", end: vm.node, address: to("machines", vm.id) }));
  for (const place of [...places, { icon: "plus", name: t("vm.create"), address: to("machines", "new") }]) {
    if (!wanted || place.name.toLowerCase().includes(wanted)) lines.push({ mark: icon(place.icon), text: place.name, more: "", end: "", address: place.address });
  }
  return lines;
}

/** Open it. `places`: {icon, name, address}. */
export function palette(places) {
  let lines = [], active = 0;
  const list = h("ul", { role: "listbox", id: "palette-list", "aria-label": t("palette.results") });
  const input = h("input", { class: "in", role: "combobox", "aria-label": t("search"), "aria-expanded": "true", "aria-controls": "palette-list", autocomplete: "off", placeholder: t("palette.hint"), oninput: search, onkeydown: keys });
  const box = dialog(t("search"), [h("div", { class: "top-in" }, icon("search"), input), list], [], { wide: "palette" });
  function search() {
    lines = found(input.value, places);
    active = 0;
    draw();
  }
  function draw() {
    list.replaceChildren(...lines.map((line, n) => h("li", { role: "option", id: `palette-${n}`, "aria-selected": String(n === active), onclick: () => choose(n) },
      line.mark, h("span", { class: "strong" }, line.text), h("span", { class: "muted" }, line.more), h("span", { class: "end" }, line.end))));
    lines.length ? input.setAttribute("aria-activedescendant", `palette-${active}`) : input.removeAttribute("aria-activedescendant");
  }
  function keys(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && lines.length) {
      event.preventDefault();
      active = (active + step + lines.length) % lines.length;
      draw();
    } else if (event.key === "Enter") choose(active);
  }
  function choose(n) {
    if (!lines[n]) return;
    box.close();
    go(lines[n].address);
  }
  search();
  input.focus();
}
