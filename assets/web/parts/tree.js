// Failure domain, node, machine as a tree (WAI-ARIA treeview): one tab stop, arrows move, open and close.
import { mebibytes, number, t } from "../i18n.js";
import { go, to } from "../router.js";
import { rowsOf } from "../store.js";
import { capacityBar } from "./capacity.js";
import { h, icon } from "./dom.js";
import { marksOf, runningText } from "./places.js";
import { notOurs, scene } from "./scene.js";
import { nodeState, stateMark, unheard, vmMark } from "./state.js";

// Up to so many machines every node is open at first.
const FEW = 200;
// What a person opened and closed, while the page lives.
const chosen = new Map();

const sum = (rows, field) => rows.reduce((total, row) => total + (row?.[field] ?? 0), 0);

/** As `table`; sorted by `order`. */
export function tree({ label, columns, open, empty, address }) {
  let selected = null, active = null, items = [];
  const body = h("div", { class: "tree", role: "tree", tabindex: "0", "aria-label": label, onkeydown: keys, onclick: pick, onfocus: () => active === null && step(0) });
  const all = scene({ body, columns, empty, linesOf, mark });
  const { view } = all;

  const isOpen = (id, kind) => (all.only ? chosen.get(`only ${id}`) ?? true : chosen.get(id) ?? (kind === "domain" || rowsOf("vms").size <= FEW));

  /** Open or close these; what the keys point at stays in sight. */
  function turn(those, on) {
    for (const item of those) if (item.expanded !== undefined) chosen.set(all.only ? `only ${item.id}` : item.id, on ?? !item.expanded);
    all.arrange();
    if (active !== null && document.activeElement === body) view.reveal(active);
  }

  function linesOf(groups) {
    items = [];
    const flat = groups.length === 1 && !groups[0].domain;
    groups.forEach((group, n) => {
      if (flat) return group.nodes.forEach((node, m) => ofNode(node, 1, m, group.nodes.length, null));
      const item = { id: `domain ${group.domain}`, kind: "domain", level: 1, at: n, of: groups.length, parent: null, group };
      item.expanded = isOpen(item.id, "domain");
      items.push(item);
      if (item.expanded) group.nodes.forEach((node, m) => ofNode(node, 2, m, group.nodes.length, item));
    });
    if (!items.some((item) => item.id === active)) active = null;
    const height = view.length("--tree-line");
    return items.map((item) => ({ id: item.id, height, get sign() { return signOf(item); }, build: () => build(item) }));
  }

  function ofNode(group, level, at, of, parent) {
    const item = { id: `node ${group.id}`, kind: "node", level, at, of, parent, group, expanded: group.vms.length ? isOpen(`node ${group.id}`, "node") : undefined };
    items.push(item);
    if (item.expanded) group.vms.forEach((vm, n) => items.push({ id: `vm ${vm.id}`, kind: "vm", level: level + 1, at: n, of: group.vms.length, parent: item, vm }));
  }

  function signOf(item) {
    const head = [all.only, item.level, item.at, item.of, item.expanded];
    if (item.kind === "vm") return JSON.stringify([...head, all.stamp(item.vm), unheard(item.vm)]);
    const { group } = item, nodes = group.nodes ?? [group], vms = nodes.flatMap((one) => one.vms);
    return JSON.stringify([...head, onIt(vms), nodes.map(({ node }) => node && [node.memory_mb, node.memory_used_mb, node.vcpus, nodeState(node), marksOf(node)])]);
  }

  function build(item) {
    const parts = { vm: machineParts, node: nodeParts, domain: domainParts }[item.kind](item);
    return h("div", { class: `branch ${item.kind} l${item.level}${item.vm?.gone ? " gone" : ""}`, role: "treeitem", id: `tree-${item.id.replaceAll(" ", "-")}`,
      "aria-level": item.level, "aria-setsize": item.of, "aria-posinset": item.at + 1, "aria-expanded": item.expanded === undefined ? null : String(item.expanded) },
    h("span", { class: "t-name" }, item.kind === "vm" ? "" : twisty(item), parts.name), ["state", "a", "b", "c"].map((key) => h("span", { class: `t-${key}` }, parts[key])));
  }

  function twisty(item) {
    return h("span", { class: `twisty${item.expanded ? " open" : ""}` }, item.expanded === undefined ? "" : icon("fold"));
  }

  function machineParts({ vm }) {
    return { name: h("a", { class: "clip", href: address(vm), tabindex: "-1" }, vm.name), state: vmMark(vm), a: vm.addresses?.[0] ?? "", b: `${number(vm.vcpu)} vCPU`, c: mebibytes(vm.memory_mb) };
  }

  function nodeParts({ group: { node, name, vms } }) {
    const said = { a: onIt(vms), b: node ? `${number(node.vcpus ?? 0)} vCPU` : "", c: node ? memory([node]) : "" };
    if (!node) return { ...said, name: h("b", { class: "clip" }, name || t("tree.nowhere")), state: stateMark("unknown") };
    return { ...said, state: stateMark(nodeState(node)), name: [h("a", { class: "strong clip", href: to("nodes", node.name), tabindex: "-1" }, node.name), marksOf(node).map((text) => h("span", { class: "tag" }, text))] };
  }

  function domainParts({ group: { domain, nodes } }) {
    const found = nodes.map((one) => one.node).filter(Boolean), vms = nodes.flatMap((one) => one.vms);
    return { name: h("b", { class: "clip" }, domain || t("tree.no-domain")), state: h("span", { class: "muted" }, t(nodes.length === 1 ? "nodes.one" : "nodes.n", { n: number(nodes.length) })),
      a: onIt(vms), b: `${number(sum(found, "vcpus"))} vCPU`, c: found.length ? memory(found) : "" };
  }

  function onIt(vms) {
    if (all.only) return t("filter.found", { n: number(vms.length) });
    return vms.length ? runningText(vms) : t("tree.empty");
  }

  function memory(nodes) {
    const [used, all, kept] = ["memory_used_mb", "memory_mb", "memory_reserve_mb"].map((field) => sum(nodes, field));
    return [h("span", {}, t("of", { used: mebibytes(used), all: mebibytes(all) })), capacityBar(used, all, 1 - kept / (all || 1), t("col.memory"))];
  }

  /** What changes without a line being built anew. */
  function mark() {
    for (const row of body.children) {
      const { line } = row.dataset;
      if (!line) continue;
      row.classList.toggle("active", line === active);
      if (line.startsWith("vm ")) row.setAttribute("aria-selected", String(line === `vm ${selected}`));
      all.glow(row, line);
    }
    const there = active !== null && view.element(active);
    if (there) body.setAttribute("aria-activedescendant", there.id);
    else body.removeAttribute("aria-activedescendant");
  }

  const place = () => items.findIndex((item) => item.id === active);

  function aim(item) {
    if (!item) return;
    active = item.id;
    view.reveal(active);
  }

  function step(by) {
    const now = place();
    aim(items[Math.max(0, Math.min(items.length - 1, now < 0 ? 0 : now + by))]);
  }

  function enter(item) {
    if (item?.kind === "vm") { if (!item.vm.gone) open(item.vm); }
    else if (item?.kind === "node" && item.group.node) go(to("nodes", item.group.node.name));
    else if (item) turn([item]);
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const item = items[place()];
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -items.length, End: items.length };
    const deeds = {
      ArrowRight: () => (item?.expanded === false ? turn([item]) : item?.expanded && step(1)),
      ArrowLeft: () => (item?.expanded ? turn([item]) : aim(item?.parent)),
      Enter: () => enter(item), " ": () => item && turn([item]),
      "*": () => turn(items.filter((other) => other.parent === item?.parent), true),
    };
    const deed = event.key in moves ? () => step(moves[event.key]) : deeds[event.key];
    if (!deed) return;
    event.preventDefault();
    event.stopPropagation();
    deed();
  }

  function pick(event) {
    const item = items.find((one) => one.id === event.target.closest("[data-line]")?.dataset.line);
    if (!item || notOurs(event)) return;
    active = item.id;
    if (item.kind === "vm") {
      event.preventDefault();
      body.focus({ preventScroll: true });
      enter(item);
    } else if (!event.target.closest("a")) turn([item]);
    mark();
  }

  return {
    element: view.scroll, grid: body, step, open: () => enter(items[place()]), order: all.order, show: all.show, end: all.end,
    select(id) {
      selected = id;
      if (id !== null) active = `vm ${id}`;
      mark();
    },
  };
}
