// Machines: the list, and beside it the one that is chosen.
import { watchCluster } from "../cluster.js";
import { mebibytes, number, t } from "../i18n.js";
import { isBad } from "../needs.js";
import { h } from "../parts/dom.js";
import { empty } from "../parts/empty.js";
import { listPage } from "../parts/list.js";
import { splitPage } from "../parts/split.js";
import { runs, unheard, vmMark, wordOf } from "../parts/state.js";
import { tiles } from "../parts/tiles.js";
import { tree } from "../parts/tree.js";
import { to } from "../router.js";
import { machine } from "./machine.js";

/** The columns of machines; also on a node's page. */
export const columns = () => [
  { key: "state", label: t("col.state"), class: "k-state", value: (vm) => wordOf(vm.state), cell: vmMark },
  { key: "name", label: t("col.name"), class: "name k-name", head: true, value: (vm) => vm.name, cell: named },
  { key: "address", label: t("col.address"), class: "k-a", value: (vm) => sortable(vm.addresses?.[0]), cell: (vm) => vm.addresses?.[0] ?? "" },
  { key: "node", label: t("col.node"), class: "k-b", value: (vm) => vm.node, cell: (vm) => vm.node },
  { key: "vcpu", label: t("col.vcpu"), class: "num", value: (vm) => vm.vcpu, cell: (vm) => number(vm.vcpu) },
  { key: "memory", label: t("col.memory"), class: "num", value: (vm) => vm.memory_mb, cell: (vm) => mebibytes(vm.memory_mb) },
  { key: "disk", label: t("col.disk"), class: "num p3", value: (vm) => vm.disk_gb, cell: (vm) => (vm.disk_gb ? `${number(vm.disk_gb)} GiB` : "–") },
  { key: "image", label: t("col.image"), class: "p2", value: (vm) => vm.image, cell: (vm) => vm.image },
  { key: "project", label: t("col.project"), class: "p4", value: (vm) => vm.project, cell: (vm) => vm.project },
];

const named = (vm) => (vm.ours === false ? h("span", { class: "with" }, h("span", { class: "clip" }, vm.name), h("span", { class: "tag" }, wordOf("foreign"))) : vm.name);

function sortable(address) {
  return (address ?? "").split(".").map((part) => part.padStart(3, "0")).join(".");
}

function foot(rows) {
  const sum = (field) => rows.reduce((total, vm) => total + (vm[field] || 0), 0);
  return [t(rows.length === 1 ? "vms.one" : "vms.n", { n: number(rows.length) }), `${number(sum("vcpu"))} vCPU`, mebibytes(sum("memory_mb"))];
}

/** The page; `rest` is what the address says after `machines`. */
export function machines(rest) {
  let page = null;
  const list = listPage({
    kind: "vms", title: t("place.machines"), columns: columns(), foot, sort: "name",
    text: (vm) => [vm.name, vm.image, vm.project, vm.id, ...(vm.addresses ?? []), ...(vm.macs ?? []), ...(vm.tags ?? [])].join(" "),
    views: [
      { id: "all", label: t("view.all"), keep: () => true },
      { id: "attention", label: t("view.attention"), keep: isBad },
      { id: "running", label: t("view.running"), keep: runs },
      { id: "foreign", label: t("view.foreign"), keep: (vm) => vm.ours === false },
    ],
    chips: [
      { id: "state", label: t("col.state"), value: (vm) => vm.state, word: wordOf },
      { id: "node", label: t("col.node"), value: (vm) => vm.node, word: (value) => value },
    ],
    layouts: [
      { id: "table", label: t("layout.table"), icon: "table" },
      { id: "tree", label: t("layout.tree"), icon: "tree", make: tree },
      { id: "grid", label: t("layout.grid"), icon: "grid", make: tiles },
    ],
    watches: [watchCluster], sign: unheard,
    open: (vm) => page.visit(vm.id), address: (vm) => to("machines", vm.id),
    empty: () => empty(t("empty.vms"), t("empty.vms.say"), t("vm.create"), to("machines", "new")),
    create: { text: t("vm.create"), short: t("create"), address: to("machines", "new") },
  });
  page = splitPage({ room: "machines", title: t("place.machines"), kind: "vms", list, rest, detailOf: machine });
  return page;
}
