// What can be done with a node: close it to new machines, work on it, drain it, say where it stands, leave with it.
import { alone, centerOf, look, memberOf } from "../cluster.js";
import { may } from "../access.js";
import { newKey, plain, send } from "../api.js";
import { number, t } from "../i18n.js";
import { ask, blast } from "../parts/dialog.js";
import { h, icon } from "../parts/dom.js";
import { machinesOn } from "../parts/places.js";
import { toast } from "../parts/toast.js";
import { rowsOf, soon } from "../store.js";
import { demote, promote, removeMember } from "./member.js";

const NAMES = 5;
const SAFE = /^[A-Za-z0-9_@%+=:,./-]+$/;
const quoted = (text) => (SAFE.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** "web, db and 3 more", or that there is none. */
function named(node) {
  const vms = machinesOn(node), names = vms.slice(0, NAMES).map((vm) => vm.name).join(", "), rest = vms.length - NAMES;
  if (!vms.length) return t("tend.none", { name: node.name });
  return t(vms.length === 1 ? "tend.stays.one" : "tend.stays", { names: rest > 0 ? t("tend.more", { names, n: number(rest) }) : names });
}

const whyField = () => h("label", { class: "field" }, h("span", {}, t("why")), h("input", { class: "in", name: "why", maxlength: "200", autocomplete: "off", placeholder: t("why.hint") }));
const option = (form) => (plain(form.get("why") ?? "") ? ` --why ${quoted(plain(form.get("why")))}` : "");

/** Ask, then tell the cluster. `key`: of the texts; `method`, `path`, `line`: the deed; `lines`: what it hits; `body`:
 *  of the fields, what is sent. */
function deed(node, key, { method = "POST", path, line, body = () => ({}), says = [], fields = [], danger = false }) {
  ask({
    title: t(`${key}.title`, { name: node.name }), button: t(`${key}.do`, { name: node.name }), danger,
    same: (form) => ({ line: `girginosvm ${typeof line === "function" ? line(form) : line}${option(form)}`, method, path, body: body(form) }),
    body: [h("p", {}, t(`${key}.say`, { name: node.name })), ...says.filter(Boolean).map((text) => h("p", { class: "also" }, text)), ...fields, whyField()],
    async deed(form) {
      await send(method, path, body(form), newKey(), form.get("why") ?? "");
      look(true);
      soon("nodes", 0);
      toast(t(`${key}.said`, { name: node.name }));
    },
  });
}

const of = (node, rest) => `/v1/nodes/${encodeURIComponent(node.id)}/${rest}`;
const holds = (node, holder) => (node.cordons ?? []).some((one) => one.holder === holder);

// Who else keeps it closed when this one lets go.
function stillClosed(node, but) {
  const others = (node.cordons ?? []).filter((one) => one.holder !== but).map((one) => t(`holder.${one.holder}`));
  return others.length ? t("tend.still", { name: node.name, by: others.join(", ") }) : "";
}

/** No new machines. */
export const cordon = (node) => deed(node, "cordon", { path: of(node, "cordon"), line: `node cordon ${node.name}`, says: [named(node)] });
/** New machines again. */
export const uncordon = (node) => deed(node, "uncordon", { path: of(node, "uncordon"), line: `node uncordon ${node.name}`, says: [stillClosed(node, "person")] });
/** Work on its host begins. */
export const maintain = (node) => deed(node, "maintain", { path: of(node, "maintenance"), line: `node maintenance on ${node.name}`, says: [named(node)] });
/** That work is over. */
export const endMaintenance = (node) => deed(node, "maintained", { method: "DELETE", path: of(node, "maintenance"), line: `node maintenance off ${node.name}`, says: [stillClosed(node, "maintenance")] });
/** It gives leadership and vote away. */
export const drain = (node) => deed(node, "drain", { path: "/v1/membership/drain", line: `membership drain --node ${node.name}`, body: () => ({ node: node.name }), says: [named(node)] });
/** It may vote again. */
export const undrain = (node) => deed(node, "undrain", { path: "/v1/membership/undrain", line: `membership undrain --node ${node.name}`, body: () => ({ node: node.name }), says: [stillClosed(node, "drain")] });

/** In which order it should lead. */
export function orderLead(node) {
  const now = memberOf(node.id)?.order ?? "any";
  const field = h("label", { class: "field" }, h("span", {}, t("lead.order")), h("span", { class: "pick" }, h("select", { class: "in", name: "order" }, ["first", "any", "last"].map((one) => h("option", { value: one, selected: one === now }, t(`lead.${one}`)))), icon("down")));
  deed(node, "lead", { path: "/v1/membership/lead", line: (form) => `membership lead --node ${node.name} --order ${form.get("order")}`, body: (form) => ({ node: node.name, order: form.get("order") }), fields: [field] });
}

/** What fails together with it. */
export function locate(node) {
  const known = [...new Set([...rowsOf("nodes").values()].map((one) => one.domain).filter(Boolean))].sort();
  const field = h("label", { class: "field" }, h("span", {}, t("fact.domain")), h("input", { class: "in mono", name: "domain", value: node.domain ?? "", maxlength: "63", autocomplete: "off", spellcheck: "false", list: "domains" }),
    h("datalist", { id: "domains" }, known.map((one) => h("option", { value: one }))));
  deed(node, "locate", { path: of(node, "domain"), line: (form) => `node domain ${node.name} --domain ${quoted(form.get("domain")) || "''"}`, body: (form) => ({ domain: form.get("domain").trim() }), fields: [field] });
}

/** This node goes out of its cluster and begins anew, alone. */
export function leave(member) {
  const path = "/v1/membership/leave", body = { confirm: true };
  const vms = machinesOn(member);
  ask({
    title: t("leave.title", { name: member.name }), name: member.name, danger: true, button: t("leave.do", { name: member.name }), same: { line: "girginosvm membership leave --confirm", method: "POST", path, body },
    body: [h("p", {}, t("leave.say")), blast([["nodes", member.name, t("leave.member"), t("leave.alone")], ["events", t("leave.known"), "", t("leave.archived"), true], ["key", t("leave.people"), "", t("leave.archived"), true]]),
      vms.length > 0 && h("p", { class: "note" }, t("leave.refused", { n: number(vms.length) }))],
    async deed() {
      await send("POST", path, body);
      toast(t("leave.said", { name: member.name }), "work");
    },
  });
}

/** All deeds on a node that are possible now and that the person may do: {text, icon, deed, danger}, the first ones
 *  first. */
export function deedsOf(node) {
  const member = memberOf(node.id), center = centerOf(node.id), cordoned = holds(node, "person");
  return [
    may("node.cordon") && (cordoned ? { text: t("uncordon"), icon: "check", deed: () => uncordon(node) } : { text: t("cordon"), icon: "x", deed: () => cordon(node) }),
    may("node.maintain") && (holds(node, "maintenance") ? { text: t("maintained"), icon: "check", deed: () => endMaintenance(node) } : { text: t("maintain"), icon: "settings", deed: () => maintain(node) }),
    may("membership.drain") && member && !alone() && (member.drained ? { text: t("undrain"), icon: "check", deed: () => undrain(node) } : { text: t("drain"), icon: "down", deed: () => drain(node) }),
    may("membership.lead") && member && !alone() && { text: t("lead"), icon: "cluster", deed: () => orderLead(node) },
    may("node.locate") && { text: t("locate"), icon: "nodes", deed: () => locate(node) },
    ...(member ? centerDeeds(member, center) : []),
  ].filter(Boolean);
}

/** Deeds on a member that may be a center. */
export function centerDeeds(member, center) {
  return [
    may("center.promote") && member.state === "member" && !member.witness && { text: t("center.promote"), icon: "overview", deed: () => promote(member, center) },
    may("center.demote") && center && { text: t("center.demote"), icon: "x", deed: () => demote(member, center) },
    may("membership.remove") && !alone() && { text: t("member.remove"), icon: "x", danger: true, deed: () => removeMember(member) },
  ].filter(Boolean);
}
