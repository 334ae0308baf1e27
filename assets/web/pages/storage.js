// Storage: pools, and disks kept of machines that were destroyed.
import { bytes, number, t } from "../i18n.js";
import { capacityBar } from "../parts/capacity.js";
import { h } from "../parts/dom.js";
import { empty } from "../parts/empty.js";
import { gate } from "../parts/gate.js";
import { alone, column, nameColumn, room } from "../parts/room.js";
import { fact, section, time } from "../parts/side.js";
import { stateMark } from "../parts/state.js";
import { to } from "../router.js";
import { rowsOf } from "../store.js";
import { poolRoom } from "./overview.js";
import { forgetDisk, removePool } from "./remove.js";

const stateOf = (pool) => (pool.problem ? "failed" : "ready");
const links = (kept) => [
  { text: t("storage.pools"), address: to("storage"), count: "pools", on: !kept },
  { text: t("storage.kept"), address: to("storage", "kept"), count: "disks", on: kept },
];
const forget = (disk) => gate(h("button", { type: "button", class: "btn low", "aria-label": t("forget.of", { name: disk.vm }), onclick: (event) => { event.stopPropagation(); forgetDisk(disk); } }, t("forget")), "disk.delete");

function body(pool) {
  const kept = [...rowsOf("disks").values()].filter((disk) => disk.pool === pool.name);
  return [
    pool.problem && h("div", { class: "verdict fault" }, h("p", {}, h("b", {}, pool.problem))),
    poolRoom(pool, t("col.use")),
    h("dl", { class: "facts" }, fact(t("col.path"), h("span", { class: "mono" }, pool.path)), fact(t("field.reserve_percent"), number(pool.reserve_percent), bytes(pool.reserved_bytes)), fact(t("fact.id"), h("span", { class: "mono" }, pool.id))),
    section(t("storage.kept"), kept.map((disk) => h("li", {}, h("b", { class: "strong clip" }, disk.vm), h("span", { class: "muted" }, `${number(disk.size_gb)} GiB`), h("span", { class: "end" }, forget(disk)))), t("kept.none")),
  ];
}

function pools(rest) {
  return room({
    name: "storage", kind: "pools", rest,
    list: {
      empty: () => empty(t("empty.pools"), t("empty.pools.say"), t("pool.create"), to("storage", "new")), links: links(false),
      create: { text: t("pool.create"), short: t("create"), address: to("storage", "new") },
      columns: [
        { key: "state", label: t("col.state"), class: "k-state", value: stateOf, cell: (pool) => stateMark(stateOf(pool)) }, nameColumn(),
        column("path", "col.path", (pool) => h("span", { class: "mono" }, pool.path), { class: "k-a" }),
        column("free_bytes", "col.free", (pool) => bytes(pool.free_bytes), { class: "num k-b" }),
        column("capacity_bytes", "col.capacity", (pool) => bytes(pool.capacity_bytes), { class: "num" }),
        { key: "use", label: t("col.use"), class: "p2 meter-cell", value: (pool) => 1 - pool.free_bytes / (pool.capacity_bytes || 1), cell: (pool) => capacityBar(pool.capacity_bytes - pool.free_bytes, pool.capacity_bytes, 1 - pool.reserved_bytes / (pool.capacity_bytes || 1), t("col.use")) },
      ],
    },
    detail: { also: ["disks"], state: stateOf, say: (pool) => t("pool.say", { free: bytes(pool.free_bytes), all: bytes(pool.capacity_bytes) }), deeds: (pool, visit) => [gate(h("button", { type: "button", class: "btn low danger", onclick: () => removePool(pool, visit) }, t("remove")), "pool.delete")], body },
  });
}

const keptDisks = () => alone("storage", {
  kind: "disks", sort: "since.down", links: links(true), text: (disk) => [disk.vm, disk.path, disk.pool, disk.image].join(" "), foot: (rows) => [t("rows", { n: number(rows.length) }), `${number(rows.reduce((sum, disk) => sum + disk.size_gb, 0))} GiB`],
  empty: () => empty(t("empty.disks"), t("empty.disks.say")),
  columns: [
    column("vm", "col.of", (disk) => disk.vm, { head: true, class: "name k-name" }), column("size_gb", "col.size", (disk) => `${number(disk.size_gb)} GiB`, { class: "num k-b" }),
    column("path", "col.path", (disk) => h("span", { class: "mono" }, disk.path), { class: "k-a wide" }), column("pool", "col.pool", (disk) => disk.pool, { class: "p2" }),
    column("image", "col.image", (disk) => disk.image || "–", { class: "p3" }), column("since", "col.since", (disk) => time(disk.since), { class: "p2" }),
    { key: "deed", label: t("forget"), class: "k-state deed-cell", cell: forget },
  ],
}, (rest) => rest[0] === "kept");

/** The page. */
export const storage = (rest) => (rest[0] === "kept" ? keptDisks() : pools(rest));
