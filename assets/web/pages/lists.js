// The simple rooms: nodes, images, networks, storage. A list each, and a form where one can be made.
import { ago, bytes, mebibytes, moment, number, t } from "../i18n.js";
import { bar, h } from "../parts/dom.js";
import { empty } from "../parts/empty.js";
import { listPage } from "../parts/list.js";
import { stateMark, wordOf } from "../parts/state.js";
import { go, to } from "../router.js";

const SILENT_MS = 90_000;

/** Up, or not heard of for a while. */
export const nodeState = (node) => (Date.now() - Date.parse(node.seen_at) > SILENT_MS ? "lost" : "up");

function room(name, options) {
  const title = t(`place.${name}`);
  const page = listPage({ title, sort: "name", text: (row) => Object.values(row).flat().join(" "), foot: (rows) => [t("rows", { n: number(rows.length) })], ...options });
  const split = h("div", { class: "split alone" }, page.element);
  return { ...page, element: split, crumbs: () => [[title, to(name)]], stay: (other, rest) => other === name && !rest.length };
}

const column = (key, label, cell, more = {}) => ({ key, label: t(label), value: (row) => row[key], cell, ...more });
const name = (more = {}) => column("name", "col.name", (row) => row.name, { head: true, class: "name k-name", ...more });
const time = (text) => h("time", { datetime: text, title: moment(text) }, ago(text));

/** Nodes. */
export const nodes = () => room("nodes", {
  kind: "nodes", open: (node) => go(to("nodes", node.name)), address: (node) => to("nodes", node.name),
  empty: () => empty(t("empty.nodes"), t("empty.nodes.say")),
  columns: [
    { key: "state", label: t("col.state"), class: "k-state", value: nodeState, cell: (node) => stateMark(nodeState(node)) }, name(),
    column("addresses", "col.address", (node) => node.addresses?.[0] ?? "", { class: "k-a" }),
    column("vms", "place.machines", (node) => number(node.vms), { class: "num k-b" }),
    column("cpus", "col.cpus", (node) => number(node.cpus), { class: "num" }),
    column("memory_mb", "col.memory", (node) => t("of", { used: mebibytes(node.memory_used_mb), all: mebibytes(node.memory_mb) }), { class: "num" }),
    column("acceleration", "col.acceleration", (node) => node.acceleration, { class: "p2" }),
    column("libvirt", "col.libvirt", (node) => node.libvirt, { class: "p3" }), column("os", "col.os", (node) => node.os, { class: "p4" }),
  ],
});

/** Images. */
export const images = () => room("images", {
  kind: "images", empty: () => empty(t("empty.images"), t("empty.images.say"), t("image.pull"), to("images", "new")),
  create: { text: t("image.pull"), short: t("pull"), address: to("images", "new") },
  columns: [
    column("state", "col.state", (image) => stateMark(image.problem ? "failed" : image.state), { class: "k-state", value: (image) => wordOf(image.state) }), name(),
    column("version", "col.version", (image) => image.version, { class: "k-a" }),
    column("signed", "col.signature", (image) => (image.signed ? t("signed") : stateMark("unsigned")), { class: "p2" }),
    column("format", "col.format", (image) => image.format, { class: "p3" }),
    column("size_bytes", "col.size", (image) => bytes(image.size_bytes), { class: "num k-b" }),
    column("virtual_gb", "col.disk", (image) => `${number(image.virtual_gb)} GiB`, { class: "num" }),
    column("source", "col.source", (image) => h("span", { class: "wrap" }, image.problem?.detail ?? image.source), { class: "p4" }),
  ],
});

/** Networks. */
export const networks = () => room("network", {
  kind: "networks", empty: () => empty(t("empty.networks"), t("empty.networks.say"), t("network.create"), to("network", "new")),
  create: { text: t("network.create"), short: t("create"), address: to("network", "new") },
  columns: [
    name(), column("kind", "col.kind", (net) => net.kind.toUpperCase(), { class: "k-state" }),
    column("cidr", "col.range", (net) => net.cidr, { class: "k-a" }), column("gateway", "col.gateway", (net) => net.gateway),
    column("bridge", "col.bridge", (net) => net.bridge, { class: "p2" }),
    column("leased", "col.leased", (net) => number(net.leased), { class: "num" }), column("free", "col.free", (net) => number(net.free), { class: "num k-b" }),
  ],
});

/** Storage pools. */
export const storage = () => room("storage", {
  kind: "pools", empty: () => empty(t("empty.pools"), t("empty.pools.say"), t("pool.create"), to("storage", "new")),
  create: { text: t("pool.create"), short: t("create"), address: to("storage", "new") },
  columns: [
    { key: "state", label: t("col.state"), class: "k-state", value: (pool) => pool.problem, cell: (pool) => (pool.problem ? stateMark("failed", pool.problem) : stateMark("ready")) }, name(),
    column("path", "col.path", (pool) => h("span", { class: "mono" }, pool.path), { class: "k-a" }),
    column("free_bytes", "col.free", (pool) => bytes(pool.free_bytes), { class: "num k-b" }),
    column("capacity_bytes", "col.capacity", (pool) => bytes(pool.capacity_bytes), { class: "num" }),
    { key: "use", label: t("col.use"), class: "p2 meter-cell", value: usedShare, cell: (pool) => capacityBar(pool.capacity_bytes - pool.free_bytes, pool.capacity_bytes, 1 - pool.reserved_bytes / (pool.capacity_bytes || 1), t("col.use")) },
  ],
});

const usedShare = (pool) => 1 - pool.free_bytes / (pool.capacity_bytes || 1);

/** A grey bar; amber within a tenth of its line, red beyond. */
export function capacityBar(used, all, line, label) {
  const share = all ? used / all : 0;
  const kind = share > line ? "over" : share > line - 0.1 ? "near" : "used";
  return bar(share, kind, t("bar", { label, n: Math.round(share * 100) }), line);
}
