// Machines where they are: failure domain, node, machine. What a tree and a grid of them are drawn from.
import { centerOf, memberOf } from "../cluster.js";
import { number, t } from "../i18n.js";
import { link, rowsOf } from "../store.js";
import { compare } from "./table.js";
import { nodeState, unheard, wordOf } from "./state.js";

const byName = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" }).compare;

/** What a node is besides its state: words, the one that matters most first. */
export function marksOf(node) {
  const member = memberOf(node.id), state = nodeState(node);
  const closed = (node.cordons ?? []).map((one) => ({ person: "cordoned", drain: "draining" })[one.holder] ?? one.holder);
  return [
    member?.role === "leader" && t("member.leader"), centerOf(node.id) && t("center"), member?.witness && t("member.witness"),
    node.name === link.node && t("member.here"), ...closed.filter((one) => one !== state && !(one === "draining" && state === "drained")).map(wordOf),
  ].filter(Boolean);
}

/** How many of these run, in words; of a node that is not reached, how many ran when it was last heard. */
export function runningText(vms) {
  const heard = vms.filter((vm) => !unheard(vm)), known = heard.length ? heard : vms;
  return t(heard.length ? "tree.running" : "tree.ran", { n: number(known.filter((vm) => vm.state === "running").length), all: number(vms.length) });
}

/** The machines of a node or member that are ours, by name. */
export const machinesOn = ({ id, name }) => [...rowsOf("vms").values()].filter((vm) => vm.ours !== false && [id, name].includes(vm.node)).sort((a, b) => byName(a.name, b.name));

/** The machines in `rows` by node, the nodes by domain: [{domain, nodes: [{id, name, node, vms}]}]. Nodes without any
 *  of them are left out when `only`. A machine whose node nobody knows stands under that name. */
export function placesOf(rows, { order, only }) {
  const nodes = [...rowsOf("nodes").values()];
  const known = new Map(nodes.flatMap((node) => [[node.id, node], [node.name, node]]));
  const groups = new Map(only ? [] : nodes.map((node) => [node.id, { id: node.id, name: node.name, node, vms: [] }]));
  for (const vm of rows) {
    const node = known.get(vm.node), id = node?.id ?? vm.node;
    if (!groups.has(id)) groups.set(id, { id, name: node?.name ?? vm.node ?? "", node: node ?? null, vms: [] });
    groups.get(id).vms.push(vm);
  }
  const all = [...groups.values()].sort((a, b) => byName(a.name, b.name));
  if (order) for (const group of all) group.vms.sort(order);
  const domains = Map.groupBy(all, (group) => group.node?.domain ?? "");
  // Nodes of no domain come last; they fail alone.
  return [...domains].sort(([a], [b]) => (!a - !b) || byName(a, b)).map(([domain, members]) => ({ domain, nodes: members }));
}

/** How to put machines in order by a column and a direction; null: as they come. */
export function orderOf(columns, sort) {
  const column = sort && columns.find((one) => one.key === sort.key);
  if (!column?.value) return null;
  const sign = sort.down ? -1 : 1;
  return (a, b) => sign * compare(column.value(a), column.value(b)) || byName(a.name, b.name);
}

/** The machines of a group while a pointer rests on them: in the order they had (`before`, as they were), what is new
 *  at the end, what is gone faded. */
export function steady(vms, before) {
  const now = new Map(vms.map((vm) => [vm.id, vm])), known = new Set(before.map((vm) => vm.id));
  return [...before.map((vm) => now.get(vm.id) ?? { ...vm, gone: true }), ...vms.filter((vm) => !known.has(vm.id))];
}
