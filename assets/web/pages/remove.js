// Taking things away. What erases data lists what it will hit and wants the name; the rest asks once.
import { send } from "../api.js";
import { bytes, number, t } from "../i18n.js";
import { ask, blast } from "../parts/dialog.js";
import { h } from "../parts/dom.js";
import { toast } from "../parts/toast.js";
import { rowsOf, soon } from "../store.js";

const names = (vms) => vms.slice(0, 3).map((vm) => vm.name).join(", ") + (vms.length > 3 ? ` +${number(vms.length - 3)}` : "");

function removal({ row, key, path, cli, lines, note = "", lists, typed = "", done = () => {} }) {
  const name = row.name ?? row.path;
  ask({
    title: t(`${key}.title`, { name }), name: typed, danger: true, button: t(`${key}.do`, { name: row.name ?? row.vm }), same: { method: "DELETE", path, line: `${cli} ${name}` },
    body: [h("p", {}, t(`${key}.say`)), blast(lines), note && h("p", { class: "note" }, note)],
    async deed() {
      await send("DELETE", path);
      lists.forEach((list) => soon(list, 0));
      toast(t("said.removed", { name }));
      done();
    },
  });
}

/** Delete an image and its file. */
export function removeImage(image, done) {
  const users = [...rowsOf("vms").values()].filter((vm) => vm.image === image.name);
  removal({ row: image, key: "image.rm", path: `/v1/images/${encodeURIComponent(image.id)}`, cli: "girginosvm image rm", lists: ["images"], typed: image.name, done,
    lines: [["images", image.name, image.version, t("fate.erased")], ["storage", bytes(image.size_bytes), t("image.rm.file"), t("fate.erased")], ...(users.length ? [["machines", names(users), "", t("fate.stays"), true]] : [])],
    note: users.length ? t("image.rm.used") : "" });
}

/** Remove a network. */
export function removeNetwork(net, done) {
  removal({ row: net, key: "net.rm", path: `/v1/networks/${encodeURIComponent(net.id)}`, cli: "girginosvm net pool rm", lists: ["networks"], done,
    lines: [["network", net.name, net.cidr, t("fate.removed")], ["nodes", net.bridge, t("net.rm.bridge"), t(net.kind === "nat" ? "fate.removed" : "fate.stays"), net.kind !== "nat"]],
    note: net.leased ? t("net.rm.used", { n: number(net.leased) }) : "" });
}

/** Forget a pool; its files stay. */
export function removePool(pool, done) {
  removal({ row: pool, key: "pool.rm", path: `/v1/pools/${encodeURIComponent(pool.id)}`, cli: "girginosvm storage pool rm", lists: ["pools"], done,
    lines: [["storage", pool.name, "", t("fate.removed")], ["info", pool.path, t("pool.rm.files"), t("fate.stays"), true]],
    note: pool.booked_bytes ? t("pool.rm.used", { size: bytes(pool.booked_bytes) }) : "" });
}

/** Forget a kept disk; its file stays. */
export function forgetDisk(disk) {
  removal({ row: disk, key: "disk.rm", path: `/v1/disks/${encodeURIComponent(disk.id)}`, cli: "girginosvm storage disk forget", lists: ["disks", "pools"],
    lines: [["info", disk.path, "", t("fate.stays"), true], ["storage", `${number(disk.size_gb)} GiB`, t("disk.rm.room", { pool: disk.pool }), t("destroy.free")], ...(disk.image ? [["images", disk.image, t("disk.rm.image"), t("fate.released")]] : [])] });
}
