// Search over machines, deeds and places; Ctrl+K. "shut down web" finds the deed and its machine.
import { t } from "../i18n.js";
import { adopt, powerOff, reboot, shutDown, start } from "../pages/power.js";
import { go, to } from "../router.js";
import { rowsOf } from "../store.js";
import { dialog } from "./dialog.js";
import { h, icon } from "./dom.js";
import { stateMark } from "./state.js";

const MOST = 8;

// Deeds on a machine that are possible now: [icon, words, deed].
function deedsOf(vm) {
  const plain = (key) => t(key).replace("…", "");
  if (vm.ours === false) return [["check", plain("adopt"), () => adopt(vm)]];
  const power = vm.state === "running" ? [["power", plain("stop"), () => shutDown(vm)], ["power", plain("off"), () => powerOff(vm)], ["reboot", plain("reboot"), () => reboot(vm)]] : [["start", plain("start"), () => start(vm)]];
  return [...power, ["console", t("tab.serial"), () => go(to("machines", vm.id, "serial"))], ["events", t("tab.history"), () => go(to("machines", vm.id, "history"))]];
}

function deeds(wanted) {
  const words = wanted.split(/\s+/);
  const lines = [];
  for (const vm of words.length > 1 ? rowsOf("vms").values() : []) {
    if (!words.some((word) => vm.name.toLowerCase().includes(word))) continue;
    for (const [picture, text, deed] of deedsOf(vm)) {
      const whole = `${text} ${vm.name}`.toLowerCase();
      if (words.every((word) => whole.includes(word))) lines.push({ mark: icon(picture), text: `${text} ${vm.name}`, more: "", end: vm.node, deed });
    }
    if (lines.length >= MOST) break;
  }
  return lines.slice(0, MOST);
}

function found(text, places) {
  const wanted = text.trim().toLowerCase();
  const machines = [...rowsOf("vms").values()].filter((vm) => !wanted || `${vm.name} ${vm.addresses?.join(" ")} ${vm.macs?.join(" ")}`.toLowerCase().includes(wanted));
  const lines = machines.slice(0, MOST).map((vm) => ({ mark: stateMark(vm.state), text: vm.name, more: vm.addresses?.[0] ?? "", end: vm.node, address: to("machines", vm.id) }));
  lines.push(...deeds(wanted));
  const makes = [["vm.create", "machines", "new"], ["image.pull", "images", "new"], ["image.upload", "images", "upload"], ["network.create", "network", "new"], ["pool.create", "storage", "new"], ["user.create", "settings", "users", "new"], ["token.create", "settings", "tokens", "new"]];
  for (const place of [...places, ...makes.map(([key, ...parts]) => ({ icon: "plus", name: t(key), address: to(...parts) }))]) {
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
    lines[n].deed ? lines[n].deed() : go(lines[n].address);
  }
  search();
  input.focus();
}
