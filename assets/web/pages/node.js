// One node: what it is, what room is left, and its machines.
import { ago, mebibytes, number, t } from "../i18n.js";
import { h } from "../parts/dom.js";
import { capacity, capacityBar, squares } from "../parts/capacity.js";
import { fact, time } from "../parts/side.js";
import { badge, kindOf, nodeState, stateMark, wordOf } from "../parts/state.js";
import { to } from "../router.js";
import { rowsOf, stateOf, watch, watchLink } from "../store.js";

const MOST_LINES = 40;

/** The page of the node called `name`. */
export function node(name) {
  const element = h("div", { class: "page" });
  function draw() {
    const found = [...rowsOf("nodes").values()].find((one) => one.name === name || one.id === name);
    if (!found) return element.replaceChildren(h("p", { class: "second" }, stateOf("nodes").loaded ? t("node.gone", { name }) : t("loading")));
    const machines = [...rowsOf("vms").values()].filter((vm) => vm.node === found.name || vm.node === found.id);
    element.replaceChildren(head(found, machines), h("div", { class: "duo" }, h("div", { class: "stack" }, machinesOf(machines), about(found)), room(found)));
  }
  const ends = [watch("nodes", draw), watch("vms", draw), watchLink((type) => type === "link" && draw())];
  draw();
  return { element, crumbs: () => [[t("place.nodes"), to("nodes")], [name, ""]], end: () => ends.forEach((one) => one()) };
}

function head(found, machines) {
  const running = machines.filter((vm) => vm.state === "running").length;
  const bad = machines.filter((vm) => ["fault", "attn"].includes(kindOf(vm.state)));
  const state = nodeState(found);
  const say = state === "unknown" ? t("node.unknown", { ago: ago(found.seen_at) }) : t("node.say", { running: number(running), all: number(machines.length) });
  return h("div", { class: "head" }, h("h1", { class: "same" }, found.name, " ", badge(state)), h("p", { class: "say" }, h("b", { class: "strong" }, say), bad.length > 0 && ` ${t("node.bad", { names: bad.slice(0, 3).map((vm) => vm.name).join(", ") })}`));
}

function room(found) {
  const kept = found.memory_reserve_mb ?? 0;
  const free = found.memory_mb - kept - found.memory_used_mb;
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, t("node.room"))),
    capacity(t("col.memory"), mebibytes(found.memory_used_mb), mebibytes(found.memory_mb), capacityBar(found.memory_used_mb, found.memory_mb, 1 - kept / found.memory_mb, t("col.memory")), t("node.memory", { free: mebibytes(Math.max(0, free)), kept: mebibytes(kept) })),
    capacity(t("col.vcpu"), number(found.vcpus ?? 0), t("node.cpus", { n: number(found.cpus) }), null, t("node.ratio", { n: number((found.vcpus ?? 0) / found.cpus, 2) })));
}

function about(found) {
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, t("node.about"))), h("dl", { class: "facts pad" },
    fact(t("col.address"), (found.addresses ?? []).join(", ")), fact(t("fact.hostname"), found.hostname), fact(t("fact.cpu"), found.cpu_model, t("node.cpus", { n: number(found.cpus) })),
    fact(t("col.acceleration"), found.acceleration?.toUpperCase(), found.acceleration_reason), fact(t("fact.firmware"), (found.firmwares ?? []).join(", ").toUpperCase()),
    fact(t("col.os"), found.os), fact(t("fact.kernel"), found.kernel), fact(t("col.libvirt"), found.libvirt, `QEMU ${found.qemu}`),
    fact(t("fact.seen"), time(found.seen_at))));
}

function machinesOf(machines) {
  const order = [...machines].sort((a, b) => a.name.localeCompare(b.name));
  const counts = Object.entries(Object.groupBy(order, (vm) => vm.state)).map(([state, rows]) => stateMark(state, `${number(rows.length)} ${wordOf(state).toLowerCase()}`));
  const lines = order.slice(0, MOST_LINES).map((vm) => h("li", {}, h("span", { class: "mark-cell" }, stateMark(vm.state)), h("a", { class: "strong clip", href: to("machines", vm.id) }, vm.name), h("span", { class: "second hide-n" }, vm.addresses?.[0] ?? ""), h("span", { class: "end" }, `${number(vm.vcpu)} vCPU, ${mebibytes(vm.memory_mb)}`)));
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, t("place.machines")), h("span", {}, number(machines.length)), h("span", { class: "end" }, h("a", { class: "link", href: `${to("machines")}?node=${encodeURIComponent(machines[0]?.node ?? "")}` }, t("node.list")))),
    machines.length ? [squares(order, t("node.squares")), h("p", { class: "legend" }, counts), h("ul", { class: "lines machines" }, lines)] : h("p", { class: "second pad" }, t("node.empty")));
}
