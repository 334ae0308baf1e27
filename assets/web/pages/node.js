// One node: how it is and why, what can be done about it, its machines, what room is left, and its part in agreement.
import { alone, awaySince, centerOf, cluster, memberOf, watchCluster } from "../cluster.js";
import { ago, duration, mebibytes, number, t } from "../i18n.js";
import { h, icon, shape } from "../parts/dom.js";
import { capacity, capacityBar, squares } from "../parts/capacity.js";
import { gate } from "../parts/gate.js";
import { menu } from "../parts/menu.js";
import { marksOf } from "../parts/places.js";
import { told } from "../parts/said.js";
import { fact, time } from "../parts/side.js";
import { badge, kindOf, legend, nodeState, stateMark, vmMark } from "../parts/state.js";
import { to } from "../router.js";
import { rowsOf, stateOf, watch, watchLink } from "../store.js";
import { awayText, roleOf } from "./cluster.js";
import { deedsOf } from "./tend.js";

const MOST_LINES = 40;

/** The page of the node called `name`. */
export function node(name) {
  const top = h("div"), left = h("div", { class: "stack" }), right = h("div", { class: "stack" });
  const whole = [top, h("div", { class: "duo" }, left, right)];
  const element = h("div", { class: "page" });
  const signs = new Map();

  /** What stands in `place`, drawn anew only when it would say something else: an open menu stays. */
  function put(place, ...parts) {
    const found = parts.flat().filter(Boolean);
    const sign = found.map((part) => `${part.textContent}${[...part.querySelectorAll(".sq, .bar rect, a")].map((one) => [one.getAttribute("class"), one.getAttribute("width"), one.getAttribute("href")]).join()}`).join();
    if (signs.get(place) === sign || place.querySelector(":popover-open")) return;
    signs.set(place, sign);
    place.replaceChildren(...found);
  }

  function draw() {
    const found = [...rowsOf("nodes").values()].find((one) => one.name === name || one.id === name);
    if (!found) return element.replaceChildren(h("p", { class: "second" }, stateOf("nodes").loaded ? t("node.gone", { name }) : t("loading")));
    const machines = [...rowsOf("vms").values()].filter((vm) => vm.node === found.name || vm.node === found.id);
    if (top.parentNode !== element) element.replaceChildren(...whole);
    put(top, head(found, machines), reasons(found));
    put(left, machinesOf(found, machines), about(found));
    put(right, room(found), part(found));
  }

  const ends = [watch("nodes", draw), watch("vms", draw), watchLink((type) => type === "link" && draw()), watchCluster(draw)];
  // What waited for a menu to close.
  top.addEventListener("toggle", (event) => event.newState === "closed" && draw(), true);
  const clock = setInterval(draw, 5000);
  draw();
  return { element, crumbs: () => [[t("place.nodes"), to("nodes")], [name, ""]], end() { ends.forEach((one) => one()); clearInterval(clock); } };
}

function head(found, machines) {
  const running = machines.filter((vm) => vm.state === "running").length;
  const bad = machines.filter((vm) => ["fault", "attn"].includes(kindOf(vm.state)));
  const state = nodeState(found);
  const say = state === "unknown" ? t("node.unknown", { ago: ago(found.seen_at) }) : machines.length ? t(state === "away" ? "node.said" : "node.say", { running: number(running), all: number(machines.length) }) : t("node.empty");
  return h("div", { class: "head" }, h("h1", { class: "same" }, found.name, " ", badge(state), marksOf(found).map((text) => h("span", { class: "tag" }, text))),
    h("div", { class: "btns end" }, deeds(found)),
    h("p", { class: "say" }, h("b", { class: "strong" }, say), bad.length > 0 && state !== "away" && ` ${t("node.bad", { names: bad.slice(0, 3).map((vm) => vm.name).join(", ") })}`));
}

/** The first two deeds are buttons, the others a menu; all of them once it is known who belongs to the cluster. */
function deeds(found) {
  if (!cluster.now) return [];
  const all = deedsOf(found);
  const label = t("more.for", { name: found.name });
  const more = () => gate(h("button", { type: "button", class: "btn square low", "aria-label": label, title: label }, icon("more")));
  return [...all.slice(0, 2).map(({ text, deed }) => gate(h("button", { type: "button", class: "btn low", onclick: deed }, text))), all.length > 2 && menu(more(), label, all.slice(2))];
}

/** Why it is not simply up: a sentence for each reason. */
function reasons(found) {
  const member = memberOf(found.id), state = nodeState(found), lines = [];
  const late = member ? awayText(member) : "";
  if (state === "away") lines.push([t("node.away", { late: late && ` (${late})` }), "", t("node.away.say")]);
  if (found.state === "silent") lines.push([t("node.silent", { for: duration((Date.now() - Date.parse(found.seen_at)) / 1000) }), "", t("node.silent.say")]);
  for (const one of found.cordons ?? []) lines.push([t(`closed.${one.holder}`, { by: one.by }), one.why && t("cordon.why", { why: one.why }), "", one.since]);
  if (!lines.length) return null;
  const kind = state === "away" ? "fault" : found.state === "silent" ? "attn" : "";
  return h("div", { class: `verdict ${kind} reasons` }, shape(kindOf(state)), h("div", {}, lines.map(([bold, why, rest, since]) => h("p", {}, h("b", {}, bold), why && ` ${why}`, rest && ` ${rest}`, since && [" ", time(since)])), (found.cordons ?? []).length > 0 && h("p", {}, t("cordon.means"))));
}

function room(found) {
  const kept = found.memory_reserve_mb ?? 0;
  const free = found.memory_mb - kept - found.memory_used_mb;
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, t("node.room"))),
    capacity(t("col.memory"), mebibytes(found.memory_used_mb), mebibytes(found.memory_mb), capacityBar(found.memory_used_mb, found.memory_mb, 1 - kept / found.memory_mb, t("col.memory")), t("node.memory", { free: mebibytes(Math.max(0, free)), kept: mebibytes(kept) })),
    capacity(t("col.vcpu"), number(found.vcpus ?? 0), t("node.cpus", { n: number(found.cpus) }), null, t("node.ratio", { n: number((found.vcpus ?? 0) / found.cpus, 2) })));
}

/** Its part in the cluster's agreement, and whether it is a center. */
function part(found) {
  const member = memberOf(found.id), center = centerOf(found.id);
  if (!member) return null;
  const since = awaySince(member.id);
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, t("cluster.agreement")), h("span", { class: "end" }, h("a", { class: "link", href: to("cluster") }, t("place.cluster")))),
    h("dl", { class: "facts pad" }, fact(t("col.role"), roleOf(member), alone() ? "" : t(`role.means.${member.state === "joining" ? "joining" : member.role}`)),
      (member.order ?? "any") !== "any" && fact(t("fact.lead"), t(`lead.${member.order}`)),
      fact(t("fact.reached"), member.here ? t("member.here") : member.reached ? t("reached.yes") : stateMark(member.reached === null ? "unseen" : "away"), member.reached === null ? t("reached.unseen") : since ? duration((Date.now() - since) / 1000) : ""),
      member.lag !== null && fact(t("col.lag"), t("lag.say", { n: number(member.lag) })), fact(t("col.address"), h("span", { class: "mono" }, member.address || t("member.no-address"))),
      center && fact(t("col.center"), center.state === "serving" ? h("a", { class: "link", href: center.public_url }, center.public_url) : stateMark(center.state), center.problem)));
}

function about(found) {
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, t("node.about"))), h("dl", { class: "facts pad" },
    fact(t("fact.domain"), found.domain || h("span", { class: "muted" }, t("domain.none"))),
    fact(t("col.address"), (found.addresses ?? []).join(", ")), fact(t("fact.hostname"), found.hostname), fact(t("fact.cpu"), found.cpu_model, t("node.cpus", { n: number(found.cpus) })),
    fact(t("col.acceleration"), found.acceleration?.toUpperCase(), told(found.acceleration_said, found.acceleration_reason)), fact(t("fact.firmware"), (found.firmwares ?? []).join(", ").toUpperCase()),
    fact(t("col.os"), found.os), fact(t("fact.kernel"), found.kernel), fact(t("col.libvirt"), found.libvirt, `QEMU ${found.qemu}`), fact(t("fact.release"), found.release, t("fact.level", { n: found.level })),
    fact(t("fact.seen"), time(found.seen_at))));
}

function machinesOf(found, machines) {
  const order = [...machines].sort((a, b) => a.name.localeCompare(b.name));
  const lines = order.slice(0, MOST_LINES).map((vm) => h("li", {}, h("span", { class: "mark-cell" }, vmMark(vm)), h("a", { class: "strong clip", href: to("machines", vm.id) }, vm.name), h("span", { class: "second hide-n" }, vm.addresses?.[0] ?? ""), h("span", { class: "end" }, `${number(vm.vcpu)} vCPU, ${mebibytes(vm.memory_mb)}`)));
  const rest = order.length - MOST_LINES;
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, t("place.machines")), h("span", {}, number(machines.length)), machines.length > 0 && h("span", { class: "end" }, h("a", { class: "link", href: `${to("machines")}?node=${encodeURIComponent(found.name)}` }, t("node.list")))),
    machines.length ? [squares(order, t("node.squares")), h("p", { class: "legend" }, legend(order)), h("ul", { class: "lines machines" }, lines, rest > 0 && h("li", { class: "muted" }, t("squares.more", { n: number(rest) })))] : h("p", { class: "second pad" }, t("node.empty")));
}
