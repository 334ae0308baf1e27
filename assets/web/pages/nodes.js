// Nodes.
import { memberOf, watchCluster } from "../cluster.js";
import { mebibytes, number, t } from "../i18n.js";
import { empty } from "../parts/empty.js";
import { alone, column, nameColumn } from "../parts/room.js";
import { nodeState, stateMark } from "../parts/state.js";
import { go, to } from "../router.js";
import { watchLink } from "../store.js";
import { roleOf } from "./cluster.js";

const role = (node) => (memberOf(node.id) ? roleOf(memberOf(node.id)) : "–");

/** The list. */
export const nodes = () => alone("nodes", {
  kind: "nodes", sort: "name", text: (row) => Object.values(row).flat().join(" "), foot: (rows) => [t(rows.length === 1 ? "nodes.one" : "nodes.n", { n: number(rows.length) })],
  // Who is reached and who leads is said by no row.
  watches: [watchCluster, (draw) => watchLink((type) => type === "link" && draw())], sign: (node) => `${nodeState(node)} ${role(node)}`,
  open: (node) => go(to("nodes", node.name)), address: (node) => to("nodes", node.name),
  empty: () => empty(t("empty.nodes"), t("empty.nodes.say")),
  columns: [
    { key: "state", label: t("col.state"), class: "k-state", value: nodeState, cell: (node) => stateMark(nodeState(node)) }, nameColumn(),
    column("addresses", "col.address", (node) => node.addresses?.[0] ?? "", { class: "k-a" }),
    { key: "role", label: t("col.role"), class: "p2", value: role, cell: role }, column("domain", "fact.domain", (node) => node.domain || "–", { class: "p3" }),
    column("vms", "place.machines", (node) => number(node.vms), { class: "num" }),
    column("cpus", "col.cpus", (node) => number(node.cpus), { class: "num" }),
    column("memory_mb", "col.memory", (node) => t("of", { used: mebibytes(node.memory_used_mb), all: mebibytes(node.memory_mb) }), { class: "num k-b" }),
    column("acceleration", "col.acceleration", (node) => node.acceleration.toUpperCase(), { class: "p2" }),
    column("libvirt", "col.libvirt", (node) => node.libvirt, { class: "p3" }), column("os", "col.os", (node) => node.os, { class: "p4" }),
  ],
}, (rest) => !rest.length);
