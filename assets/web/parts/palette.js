// Search over machines, deeds and places; Ctrl+K. "shut down web" finds the deed and its machine.
import { may, mayOpen } from "../access.js";
import { blocked } from "../cluster.js";
import { t } from "../i18n.js";
import { adopt, powerOff, reboot, shutDown, start } from "../pages/power.js";
import { deedsOf as nodeDeeds } from "../pages/tend.js";
import { go, to } from "../router.js";
import { rowsOf } from "../store.js";
import { dialog } from "./dialog.js";
import { h, icon } from "./dom.js";
import { nodeState, stateMark, vmMark } from "./state.js";

const MOST = 8;

const short = (text) => text.replace("…", "");

// Deeds on a machine that are possible now: {icon, text, deed, write}. What writes needs the cluster's agreement.
function deedsOf(vm) {
  const write = (icon, key, deed) => ({ icon, text: short(t(key)), deed: () => deed(vm), write: true });
  if (vm.ours === false) return may("vm.create") ? [write("check", "adopt", adopt)] : [];
  const power = vm.state === "running" ? [write("power", "stop", shutDown), write("power", "off", powerOff), write("reboot", "reboot", reboot)] : [write("start", "start", start)];
  return [...(may("vm.power") ? power : []), { icon: "console", text: t("tab.serial"), deed: () => go(to("machines", vm.id, "serial")) }, { icon: "events", text: t("tab.history"), deed: () => go(to("machines", vm.id, "history")) }];
}

// What has a name and deeds: nodes are few and come first.
function* doers() {
  for (const node of rowsOf("nodes").values()) yield [node.name, "", () => nodeDeeds(node).map((one) => ({ ...one, text: short(one.text), write: true }))];
  for (const vm of rowsOf("vms").values()) yield [vm.name, vm.node, () => deedsOf(vm)];
}

function deeds(wanted) {
  const words = wanted.split(/\s+/);
  const lines = [];
  for (const [name, end, found] of words.length > 1 ? doers() : []) {
    if (!words.some((word) => name.toLowerCase().includes(word))) continue;
    for (const { icon: picture, text, deed, write } of found()) {
      const whole = `${text} ${name}`.toLowerCase();
      if (words.every((word) => whole.includes(word))) lines.push({ mark: icon(picture), text, of: name, more: "", end, deed, write });
    }
    if (lines.length >= MOST) break;
  }
  return lines.slice(0, MOST);
}

function found(text, places) {
  const wanted = text.trim().toLowerCase();
  const machines = [...rowsOf("vms").values()].filter((vm) => !wanted || `${vm.name} ${vm.addresses?.join(" ")} ${vm.macs?.join(" ")}`.toLowerCase().includes(wanted));
  const nodes = [...rowsOf("nodes").values()].filter((node) => wanted && `${node.name} ${node.hostname} ${node.addresses?.join(" ")}`.toLowerCase().includes(wanted));
  const lines = nodes.slice(0, MOST).map((node) => ({ mark: stateMark(nodeState(node)), text: node.name, more: node.addresses?.[0] ?? "", end: t("col.node"), address: to("nodes", node.name) }));
  lines.push(...machines.slice(0, MOST).map((vm) => ({ mark: vmMark(vm), text: vm.name, more: vm.addresses?.[0] ?? "", end: vm.node, address: to("machines", vm.id) })), ...deeds(wanted));
  const makes = [["vm.create", "machines", "new"], ["image.pull", "images", "new"], ["image.upload", "images", "upload"], ["network.create", "network", "new"], ["pool.create", "storage", "new"], ["user.create", "settings", "users", "new"], ["token.create", "settings", "tokens", "new"]];
  for (const place of [...places, ...makes.map(([key, ...parts]) => ({ icon: "plus", name: t(key), address: to(...parts), write: true }))]) {
    if (mayOpen(place.address) && (!wanted || place.name.toLowerCase().includes(wanted))) lines.push({ mark: icon(place.icon), text: place.name, more: "", end: "", address: place.address, write: place.write });
  }
  return lines;
}

/** Open it. `places`: {icon, name, address}. */
export function palette(places) {
  let lines = [], active = 0;
  const list = h("ul", { role: "listbox", id: "palette-list", "aria-label": t("palette.results") });
  const input = h("input", { class: "in", role: "combobox", "aria-label": t("search"), "aria-expanded": "true", "aria-controls": "palette-list", autocomplete: "off", placeholder: t("palette.hint"), oninput: search, onkeydown: keys });
  const stuck = h("p", { class: "stuck-line", id: "palette-stuck", role: "status", hidden: true });
  const box = dialog(t("search"), [h("div", { class: "top-in" }, icon("search"), input), stuck, list], [], { wide: "palette" });
  function search() {
    lines = found(input.value, places);
    active = 0;
    draw();
  }
  function draw() {
    const why = blocked();
    stuck.hidden = !why || !lines.some((line) => line.write);
    stuck.textContent = why && `${why} ${t("palette.stuck")}`;
    list.replaceChildren(...lines.map((line, n) => h("li", { role: "option", id: `palette-${n}`, "aria-selected": String(n === active), "aria-disabled": why && line.write ? "true" : null, "aria-describedby": why && line.write ? "palette-stuck" : null, onclick: () => choose(n) },
      line.mark, h("span", {}, h("b", { class: "strong" }, line.text), line.of && h("span", { class: "muted" }, ` ${line.of}`)), h("span", { class: "muted" }, line.more), h("span", { class: "end" }, why && line.write ? t("palette.not-now") : line.end))));
    lines.length ? input.setAttribute("aria-activedescendant", `palette-${active}`) : input.removeAttribute("aria-activedescendant");
  }
  function keys(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && lines.length) {
      event.preventDefault();
      active = (active + step + lines.length) % lines.length;
      draw();
    } else if (event.key === "Enter") {
      // Otherwise the same key presses the button of the question that opens.
      event.preventDefault();
      choose(active);
    }
  }
  function choose(n) {
    if (!lines[n]) return;
    if (lines[n].write && blocked()) return;
    box.close();
    lines[n].deed ? lines[n].deed() : go(lines[n].address);
  }
  search();
  input.focus();
}
