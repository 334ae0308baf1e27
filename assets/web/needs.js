// What needs a person: each with why, and the one thing to do. Pure: rows in, lines out.
import { awaySince, blocked, cluster, members } from "./cluster.js";
import { bytes, duration, mebibytes, number, refusal, t } from "./i18n.js";
import { pressure } from "./parts/capacity.js";
import { sentence } from "./parts/drawer.js";
import { reasonOf } from "./parts/said.js";
import { kindOf, wordOf } from "./parts/state.js";
import { to } from "./router.js";
import { rowsOf } from "./store.js";

const HOUR_MS = 3_600_000;
const MANY = 3;
const WEIGHT = { fault: 0, attn: 1, unknown: 2 };

const open = (name) => t("need.open", { name });

/** It has a problem, or is in a state that nobody asked for. */
export const isBad = (vm) => Boolean(vm.problem) || ["fault", "attn"].includes(kindOf(vm.state));

function ofMachine(vm) {
  const kind = vm.problem ? "fault" : kindOf(vm.state);
  const why = (vm.problem && refusal(vm.problem)) || (vm.state_reason && t("need.reason", { reason: reasonOf(vm) })) || t("need.no-reason");
  return { kind, title: t("need.vm", { name: vm.name, state: wordOf(vm.problem ? "failed" : vm.state).toLowerCase() }), why, text: open(vm.name), address: to("machines", vm.id) };
}

/** A cause that hits many machines is one line. */
function ofMachines(vms) {
  const groups = Object.values(Object.groupBy(vms, (vm) => `${vm.state} ${vm.problem?.code ?? ""} ${vm.problem?.detail ?? vm.state_reason}`));
  return groups.flatMap((group) => {
    const first = ofMachine(group[0]);
    if (group.length <= MANY) return group.map(ofMachine);
    const names = `${group.slice(0, 3).map((vm) => vm.name).join(", ")}…`;
    const state = wordOf(group[0].problem ? "failed" : group[0].state).toLowerCase();
    return [{ ...first, title: t("need.vms", { n: number(group.length), state, names }), text: t("need.show"), address: `${to("machines")}?show=attention` }];
  });
}

function ofPool(pool) {
  const address = to("storage", pool.id);
  if (pool.problem) return { kind: "fault", title: t("need.pool", { name: pool.name }), why: pool.problem, text: open(pool.name), address };
  const all = pool.capacity_bytes;
  const level = all ? pressure(1 - pool.free_bytes / all, 1 - pool.reserved_bytes / all) : "used";
  if (level === "used") return null;
  const why = t("need.pool.say", { free: bytes(pool.free_bytes), reserve: bytes(pool.reserved_bytes) });
  return { kind: level === "over" ? "fault" : "attn", title: t(level === "over" ? "need.pool.over" : "need.pool.near", { name: pool.name }), why, text: open(pool.name), address };
}

function ofNode(node) {
  const free = node.memory_mb - (node.memory_reserve_mb ?? 0) - node.memory_used_mb;
  if (free >= node.memory_mb * 0.05) return null;
  return { kind: "attn", title: t("need.node", { name: node.name }), why: t("need.node.say", { free: mebibytes(Math.max(0, free)), kept: mebibytes(node.memory_reserve_mb ?? 0) }), text: open(node.name), address: to("nodes", node.name) };
}

/** Members that are not reached, what stands against agreement, and centers that do not serve: before all else. */
function ofCluster() {
  const address = to("cluster"), text = t("need.cluster"), shut = blocked();
  const held = (member) => [...rowsOf("vms").values()].filter((vm) => vm.node === member.name || vm.node === member.id).length;
  const away = members().filter((one) => one.reached === false && one.state === "member").map((one) => {
    const since = awaySince(one.id), count = held(one);
    const why = [since ? t("need.away.since", { for: duration((Date.now() - since) / 1000) }) : t("need.away.say"), count > 0 && t(count === 1 ? "need.away.one" : "need.away.vms", { n: number(count) })];
    return { kind: "fault", title: t("need.away", { name: one.name }), why: why.filter(Boolean).join(" "), text: open(one.name), address: to("nodes", one.name) };
  });
  const centers = cluster.centers.filter((one) => one.problem).map((one) => ({ kind: "attn", title: t("need.center", { name: one.name }), why: one.problem, text, address }));
  const parted = cluster.now?.parted;
  return [parted && { kind: "fault", title: t("need.parted"), why: t("need.parted.say", { names: parted }), text, address }, shut && { kind: "fault", title: shut, why: t("need.shut.say"), text, address }, ...away, ...centers];
}

const ofImage = (image) => image.problem && { kind: "fault", title: t("need.image", { name: image.name }), why: refusal(image.problem), text: open(image.name), address: to("images", image.id) };

const ofNetwork = (net) => net.cidr && !net.free && { kind: "attn", title: t("need.network", { name: net.name }), why: t("need.network.say", { n: number(net.leased), cidr: net.cidr }), text: open(net.name), address: to("network", net.id) };

/** Failed in the last hour, and nothing of the same thing has gone well since. */
function ofOperation(one, all, named) {
  if (one.state !== "failed" || one.problem?.code === "overtaken" || Date.now() - Date.parse(one.finished_at) > HOUR_MS) return null;
  if (named.has(one.subject_id) || all.some((other) => other.subject_id === one.subject_id && other.created_at > one.created_at)) return null;
  const known = one.noun === "vm" && rowsOf("vms").has(one.subject_id);
  return { kind: "attn", title: t("need.operation", { what: sentence(one) }), why: one.problem ? refusal(one.problem) : "", text: known ? open(one.subject_name) : t("need.operations"), address: known ? to("machines", one.subject_id) : `${to("operations")}?show=failed` };
}

/** Lines {kind, title, why, text, address}, the worst first. `halted`: why this node takes no more commands. */
export function needs(halted = "") {
  const vms = [...rowsOf("vms").values()];
  const operations = [...rowsOf("operations").values()];
  const bad = vms.filter(isBad);
  const foreign = vms.filter((vm) => vm.ours === false).length;
  const lines = [
    halted && { kind: "fault", title: t("need.halted"), why: halted, text: t("place.events"), address: to("events") },
    ...ofCluster(),
    ...ofMachines(bad), ...[...rowsOf("nodes").values()].map(ofNode), ...[...rowsOf("pools").values()].map(ofPool),
    ...[...rowsOf("images").values()].map(ofImage), ...[...rowsOf("networks").values()].map(ofNetwork),
    ...operations.map((one) => ofOperation(one, operations, new Set(bad.map((vm) => vm.id)))),
    foreign > 0 && { kind: "unknown", title: t(foreign === 1 ? "need.foreign.one" : "need.foreign", { n: number(foreign) }), why: t(foreign === 1 ? "need.foreign.one.say" : "need.foreign.say"), text: t("need.show"), address: `${to("machines")}?show=foreign` },
  ];
  return lines.filter(Boolean).sort((a, b) => WEIGHT[a.kind] - WEIGHT[b.kind]);
}
