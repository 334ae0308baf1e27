// One machine: what it needs first, then facts, disks, interfaces and what was done to it.
import { may } from "../access.js";
import { get, list } from "../api.js";
import { watchCluster } from "../cluster.js";
import { mebibytes, number, refusal, t, worded } from "../i18n.js";
import { h, icon, shape } from "../parts/dom.js";
import { operationLine } from "../parts/drawer.js";
import { gate } from "../parts/gate.js";
import { menu } from "../parts/menu.js";
import { eventSays, reasonOf, told } from "../parts/said.js";
import { fact, sideTop, time } from "../parts/side.js";
import { kindOf, unheard, vmBadge, wordOf } from "../parts/state.js";
import { to } from "../router.js";
import { rowsOf, stateOf, watch, watchLink } from "../store.js";
import * as power from "./power.js";
import { serial } from "./serial.js";

const TABS = ["summary", "serial", "disks", "network", "history"];

/** The detail; `visit(id, tab)` goes elsewhere, `visit()` closes. */
export function machine(id, visit) {
  let vm = rowsOf("vms").get(id) ?? null, more = null, tab = "summary", view = null, missing = null, asked = 0;
  const head = h("div", { class: "detail-head" });
  const tabs = h("nav", { class: "tabs", "aria-label": t("sections") });
  const body = h("div", { class: "detail-body" });
  const element = h("article", { class: "detail", id: "detail", tabindex: "-1", "aria-label": t("detail") }, head, tabs, body);

  async function load() {
    const mine = (asked += 1);
    if (vm?.ours === false) return draw();
    try {
      const found = await get(`/v1/vms/${encodeURIComponent(id)}`);
      if (mine !== asked) return;
      [more, missing] = [found, null];
    } catch (problem) {
      if (mine !== asked) return;
      missing = problem;
    }
    draw();
  }

  function draw() {
    vm = rowsOf("vms").get(id) ?? more;
    if (!vm) return nothing();
    const sign = JSON.stringify([vm, unheard(vm), more, tab, missing?.message, stateOf("leases").loaded]);
    if (element.dataset.sign === sign) return;
    element.dataset.sign = sign;
    // The head is drawn anew only when its machine changed: an open menu must not vanish under the pointer.
    const top = JSON.stringify([vm.name, unheard(vm), vm.state, vm.desired, vm.node, vm.project, vm.addresses, vm.disk_gb]);
    if (head.dataset.sign !== top) head.replaceChildren(...headOf(vm, visit));
    head.dataset.sign = top;
    tabs.replaceChildren(...TABS.map((one) => h("a", { class: "tab", href: to("machines", id, one), onclick: (event) => stay(event, one), "aria-current": one === tab ? "page" : null }, t(`tab.${one}`))));
    const still = { summary, disks, network }[tab];
    if (still) body.replaceChildren(...still(vm, more).filter(Boolean));
    // Until the machine was known, something else stood there.
    else if (view && view.element.parentNode !== body) body.replaceChildren(view.element);
    dispatchEvent(new Event("crumbs"));
  }

  /** Another tab, and the list beside it stays as it is filtered. */
  function stay(event, one) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    visit(id, one);
  }

  function nothing() {
    head.replaceChildren(...sideTop(visit, t("place.machines"), h("span", {}, missing ? t("vm.gone") : t("loading"))));
    tabs.replaceChildren();
    body.replaceChildren(h("p", { class: "second" }, missing?.message ?? ""));
  }

  function show(name) {
    tab = TABS.includes(name) ? name : "summary";
    view?.end?.();
    view = tab === "serial" ? serial(id) : tab === "history" ? history(id) : null;
    if (view) body.replaceChildren(view.element);
    draw();
  }

  const ends = [watch("vms", (changed) => (changed.has(id) ? load() : draw())), watch("nodes", draw), watch("leases", draw), watchCluster(draw),
    watchLink((type, data) => type === "change" && data.events.some((event) => event.subject_id === id) && (view?.load?.(), load()))];
  load();
  return { element, show, end() { ends.forEach((one) => one()); view?.end?.(); } };
}

function headOf(vm, visit) {
  const [back, title] = sideTop(visit, t("place.machines"), [h("span", { class: "clip" }, vm.name), vmBadge(vm)]);
  return [back, title, h("p", { class: "say" }, [vm.ours === false ? wordOf("foreign") : vm.project, vm.node && t("on-node", { node: vm.node })].filter(Boolean).join(" · ")), h("div", { class: "btns" }, deeds(vm, visit))];
}

function deed(text, say, run, { primary = "", permission = "vm.power" } = {}) {
  return gate(h("button", { type: "button", class: `btn low ${primary}`, title: say, onclick: run }, primary && icon("start"), text), permission);
}

function deeds(vm, visit) {
  if (vm.ours === false) return [deed(t("adopt"), t("adopt.say", { name: vm.name }), () => power.adopt(vm), { permission: "vm.create" })];
  const on = ["running", "paused", "stopping"].includes(vm.state);
  const more = gate(h("button", { type: "button", class: "btn square low", "aria-label": t("more.for", { name: vm.name }), title: t("more.for", { name: vm.name }) }, icon("more")));
  const buttons = on
    ? [deed(t("stop"), t("stop.say", { name: vm.name }), () => power.shutDown(vm)), deed(t("reboot"), t("reboot.say", { name: vm.name }), () => power.reboot(vm))]
    : [deed(t("start"), t("start.say", { name: vm.name }), () => power.start(vm), { primary: "primary" })];
  const hard = (on || vm.desired === "on") && may("vm.power") ? [{ text: t("off"), icon: "power", deed: () => power.powerOff(vm) }, { text: t("reset"), icon: "reboot", deed: () => power.reset(vm) }, null] : [];
  const gone = may("vm.delete") ? [{ text: t("destroy"), icon: "x", danger: true, deed: () => power.destroy(vm, visit) }] : [];
  return [...buttons, ...(hard.length + gone.length ? menu(more, t("more.for", { name: vm.name }), [...hard, ...gone]) : [])];
}

function verdict(vm) {
  const kind = unheard(vm) ? "attn" : vm.problem ? "fault" : kindOf(vm.state);
  const [bold, rest] = unheard(vm) ? [t("verdict.unheard", { node: vm.node }), t("verdict.unheard.say", { state: wordOf(vm.state) })]
    : vm.problem ? [refusal(vm.problem), t("problem.code", { code: vm.problem.code })]
    : vm.ours === false ? [t("verdict.foreign", { node: vm.node }), reasonOf(vm)]
    : [t(`verdict.${vm.desired === "on" ? (vm.state === "running" ? "on" : "to-on") : vm.state === "stopped" ? "off" : "to-off"}`, { node: vm.node, state: wordOf(vm.state) }), reasonOf(vm)];
  const tint = ["fault", "attn"].includes(kind) ? kind : "";
  return h("div", { class: `verdict ${tint}` }, shape(kind), h("p", {}, h("b", {}, bold), rest && ` ${rest}`));
}

/** How it runs, and why not faster: the node's own reason. */
function acceleration(vm) {
  const node = [...rowsOf("nodes").values()].find((one) => one.name === vm.node);
  return fact(t("col.acceleration"), vm.acceleration?.toUpperCase(), vm.acceleration === node?.acceleration ? told(node.acceleration_said, node.acceleration_reason) : "");
}

/** The node by its name, as a link to its page when it has one. */
const nodeLink = (name) => ([...rowsOf("nodes").values()].some((one) => one.name === name) ? h("a", { class: "link", href: to("nodes", name) }, name) : name);

/** Why it is on its node: what was found of each when that was decided. */
function whyHere({ placement }) {
  const [chosen, ...others] = placement.reasons;
  const rest = others.reduce((sum, one) => sum + (one.node ? 1 : one.values?.count ?? 1), 0);
  const text = (one) => worded(`placed.${one.word}`, one.values) ?? h("span", { lang: "en" }, one.text);
  const line = (one) => h("li", {}, one.node && [nodeLink(one.node), " "], text(one), ".");
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h3", {}, t("why-here")), h("span", { class: "end" }, time(placement.at))),
    h("ul", { class: "reasoned" }, line(chosen)), others.length > 0 && h("details", { class: "reasoned" }, h("summary", {}, t(rest === 1 ? "why-here.one" : "why-here.others", { n: number(rest) })), h("ul", {}, others.map(line))));
}

function summary(vm, more) {
  const agent = vm.state === "running" ? t(vm.agent ? "agent.yes" : "agent.no") : "";
  const facts = h("dl", { class: "facts" },
    fact(t("col.node"), vm.node && nodeLink(vm.node)), fact(t("fact.size"), `${number(vm.vcpu)} vCPU, ${mebibytes(vm.memory_mb)}`), fact(t("col.disk"), vm.disk_gb ? `${number(vm.disk_gb)} GiB` : ""),
    fact(t("col.address"), (vm.addresses ?? []).join(", ")), fact(t("place.network"), vm.network),
    fact(t("col.image"), vm.image), fact(t("fact.firmware"), vm.firmware?.toUpperCase()), acceleration(vm), fact(t("fact.agent"), agent),
    fact(t("fact.tags"), more?.tags?.length ? more.tags.map((tag) => [h("span", { class: "tag" }, tag), " "]) : ""),
    fact(t("fact.notes"), more?.notes), fact(t("fact.external"), more?.external_id),
    fact(t("fact.created"), vm.created_at && time(vm.created_at)), fact(t("fact.id"), h("span", { class: "mono" }, vm.id)));
  return [verdict(vm), facts, more?.placement?.reasons.length > 0 && whyHere(more), more?.operations?.length && h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h3", {}, t("sec.operations"))), h("ul", { class: "ops flat" }, more.operations.slice(0, 6).flatMap(operationLine)))];
}

function disks(vm, more) {
  if (!more) return [h("p", { class: "muted" }, vm.ours === false ? t("verdict.foreign", { node: vm.node }) : t("loading"))];
  return more.disks.length ? more.disks.map((disk, n) => h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h3", {}, t("disk.n", { n: n + 1 })), h("span", { class: "end" }, `${number(disk.size_gb)} GiB`)),
    h("dl", { class: "facts pad" }, fact(t("col.path"), h("span", { class: "mono" }, disk.path)), fact(t("col.format"), disk.format), fact(t("col.pool"), disk.pool), fact(t("col.image"), disk.image, t(disk.full_copy ? "disk.whole" : "disk.overlay"))))) : [h("p", { class: "muted" }, t("disk.none"))];
}

function network(vm, more) {
  if (!more) return [h("p", { class: "muted" }, vm.ours === false ? t("verdict.foreign", { node: vm.node }) : t("loading"))];
  const since = (address) => [...rowsOf("leases").values()].find((lease) => lease.address === address)?.since;
  return more.nics.length ? more.nics.map((nic, n) => h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h3", {}, t("nic.n", { n: n + 1 })), h("span", { class: "end" }, nic.network)),
    h("dl", { class: "facts pad" }, fact(t("col.address"), nic.address || t("nic.none")), fact(t("nic.since"), since(nic.address) && time(since(nic.address))), fact("MAC", h("span", { class: "mono" }, nic.mac)), fact(t("col.bridge"), nic.bridge), fact(t("nic.tap"), nic.tap),
      fact(t("nic.guard"), nic.address ? t("nic.guarded") : "")))) : [h("p", { class: "muted" }, t("nic.no"))];
}

function history(id) {
  const element = h("ul", { class: "log", "aria-label": t("tab.history") }, h("li", {}, h("span", { class: "muted" }, t("loading"))));
  async function load() {
    try {
      const rows = await list("/v1/events", { filter: `subject_id=${id}`, sort: "-index", limit: "200" });
      element.replaceChildren(...(rows.length ? rows.map(eventLine) : [h("li", {}, h("span", { class: "muted" }, t("empty.history")))]));
    } catch (problem) {
      element.replaceChildren(h("li", {}, h("p", { class: "err" }, problem.message)));
    }
  }
  load();
  return { element, load };
}

/** One line of history. */
export function eventLine(event) {
  return h("li", {}, time(event.at),
    h("p", {}, h("b", {}, eventSays(event)), h("span", { class: "by" }, ` · ${[event.actor, event.why].filter(Boolean).join(", ")}`)));
}
