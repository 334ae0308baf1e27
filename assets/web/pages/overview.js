// First what needs a person, then what room is left, where machines are, and what changed in the last hour.
import { watchCluster } from "../cluster.js";
import { bytes, mebibytes, number, t } from "../i18n.js";
import { needs } from "../needs.js";
import { capacity, capacityBar, squares } from "../parts/capacity.js";
import { h, shape } from "../parts/dom.js";
import { empty } from "../parts/empty.js";
import { eventSays } from "../parts/said.js";
import { time } from "../parts/side.js";
import { legend, nodeState, runs, shapeOfNode, wordOf } from "../parts/state.js";
import { to } from "../router.js";
import { link, rowsOf, stateOf, watch, watchLink } from "../store.js";

const HOUR_MS = 3_600_000;
const MOST_LINES = 12;
const MOST_NEEDS = 20;
const KINDS = ["vms", "nodes", "pools", "images", "networks", "operations", "events"];

const head = (title, count = "", end = null) => h("div", { class: "sec-head" }, h("h2", {}, title), h("span", {}, count), end && h("span", { class: "end" }, end));
const all = (kind) => [...rowsOf(kind).values()];

function needed() {
  const lines = needs(link.halted);
  return h("section", { class: "sec" }, head(t("over.needs"), lines.length ? number(lines.length) : ""),
    lines.length ? h("ul", { class: "needs" }, lines.slice(0, MOST_NEEDS).map(need), lines.length > MOST_NEEDS && h("li", { class: "muted" }, t("squares.more", { n: number(lines.length - MOST_NEEDS) })))
      : h("p", { class: "calm" }, shape("ok"), t("over.calm")));
}

function need({ kind, title, why, text, address }) {
  return h("li", {}, shape(kind), h("div", {}, h("b", { class: "strong" }, title), h("p", { class: "second" }, why)), h("a", { class: "btn low", href: address }, text));
}

function firstSteps() {
  if (!stateOf("vms").loaded || !stateOf("images").loaded || rowsOf("vms").size) return null;
  return rowsOf("images").size ? empty(t("empty.vms"), t("empty.vms.say"), t("vm.create"), to("machines", "new")) : empty(t("empty.images"), t("empty.images.say"), t("image.pull"), to("images", "new"));
}

function hosts() {
  const byNode = Object.groupBy(all("vms"), (vm) => vm.node);
  return h("section", { class: "sec" }, head(t("over.hosts"), t(rowsOf("nodes").size === 1 ? "nodes.one" : "nodes.n", { n: number(rowsOf("nodes").size) })),
    h("ul", { class: "hosts" }, all("nodes").map((node) => host(node, (byNode[node.name] ?? []).sort((a, b) => a.name.localeCompare(b.name))))), h("p", { class: "legend" }, legend(all("vms"))));
}

function host(node, machines) {
  const running = machines.filter(runs).length;
  return h("li", {}, h("a", { class: "host", href: to("nodes", node.name) }, shapeOfNode(node), h("b", { class: "strong clip" }, node.name), h("span", { class: "hide" }, wordOf(nodeState(node)))),
    squares(machines, t("over.host", { running: number(running), all: number(machines.length) })), h("span", { class: "end" }, number(machines.length)));
}

function room() {
  const nodes = all("nodes");
  const sum = (field) => nodes.reduce((total, node) => total + (node[field] ?? 0), 0);
  const [memory, used, kept] = [sum("memory_mb"), sum("memory_used_mb"), sum("memory_reserve_mb")];
  return h("section", { class: "sec" }, head(t("over.capacity")),
    memory > 0 && capacity(t("col.memory"), mebibytes(used), mebibytes(memory), capacityBar(used, memory, 1 - kept / memory, t("col.memory")), t("node.memory", { free: mebibytes(Math.max(0, memory - kept - used)), kept: mebibytes(kept) })),
    memory > 0 && capacity(t("col.vcpu"), number(sum("vcpus")), t("node.cpus", { n: number(sum("cpus")) }), null, t("node.ratio", { n: number(sum("vcpus") / sum("cpus"), 2) })),
    all("pools").map((pool) => poolRoom(pool, t("over.pool.name", { name: pool.name }))));
}

/** How full a pool is. */
export function poolRoom(pool, name) {
  const taken = pool.capacity_bytes - pool.free_bytes;
  const line = 1 - pool.reserved_bytes / (pool.capacity_bytes || 1);
  return capacity(name, bytes(taken), bytes(pool.capacity_bytes), capacityBar(taken, pool.capacity_bytes, line, name), t("over.pool", { booked: bytes(pool.booked_bytes), free: bytes(Math.max(0, pool.free_bytes - pool.reserved_bytes)) }));
}

function lately() {
  const rows = all("events").filter((event) => Date.now() - Date.parse(event.at) < HOUR_MS).sort((a, b) => b.index - a.index);
  return h("section", { class: "sec" }, head(t("over.hour"), rows.length ? number(rows.length) : "", h("a", { class: "link", href: to("events") }, t("over.events"))),
    rows.length ? h("ul", { class: "log" }, rows.slice(0, MOST_LINES).map((event) => h("li", {}, time(event.at), h("p", {}, eventSays(event), h("span", { class: "by" }, ` · ${event.actor}`))))) : h("p", { class: "muted pad" }, t("ops.quiet")));
}

/** The page. */
export function overview() {
  const element = h("div", { class: "page" });
  let sign = "", frame = 0;
  function draw() {
    const vms = all("vms");
    const running = vms.filter(runs).length;
    const loaded = stateOf("vms").loaded && stateOf("nodes").loaded;
    const parts = [h("div", { class: "head" }, h("h1", { class: "same" }, t("place.overview")), loaded && h("p", { class: "second" }, vms.length ? t("node.say.all", { running: number(running), all: number(vms.length) }) : t("empty.vms"))),
      loaded ? h("div", { class: "duo" }, h("div", { class: "stack" }, needed(), firstSteps(), hosts(), lately()), room()) : h("p", { class: "second" }, t("loading"))];
    const box = h("div", {}, parts);
    // Only what differs is put in its place: what is under the pointer stays.
    const now = [box.textContent, ...[...box.querySelectorAll(".sq, .host .shape")].map((one) => one.getAttribute("class"))].join();
    if (now === sign) return;
    sign = now;
    element.replaceChildren(...box.childNodes);
  }
  const later = () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(draw); };
  const ends = [watchCluster(later), ...KINDS.map((kind) => watch(kind, later)), watchLink((type) => type === "link" && later())];
  const clock = setInterval(later, 30_000);
  draw();
  return { element, crumbs: () => [[t("place.overview"), ""]], end() { ends.forEach((one) => one()); clearInterval(clock); cancelAnimationFrame(frame); } };
}
