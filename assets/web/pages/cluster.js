// The cluster: who belongs to it, who leads, who is reached, and how far it is from not agreeing any more.
import { may } from "../access.js";
import { alone, awaySince, centerOf, cluster, members, needed, trouble, watchCluster } from "../cluster.js";
import { duration, mebibytes, number, t } from "../i18n.js";
import { capacity } from "../parts/capacity.js";
import { doctor } from "../parts/doctor.js";
import { bar, h, icon } from "../parts/dom.js";
import { gate } from "../parts/gate.js";
import { invited } from "../parts/invited.js";
import { menu } from "../parts/menu.js";
import { told } from "../parts/said.js";
import { fact, time } from "../parts/side.js";
import { badge, stateMark } from "../parts/state.js";
import { to } from "../router.js";
import { rowsOf, watch } from "../store.js";
import { addWitness, letIn } from "./member.js";
import { centerDeeds, leave } from "./tend.js";

const COLUMNS = [["state", "k-state"], ["name", "name k-name"], ["role", "k-a"], ["address", "p2"], ["center", "p2"], ["machines", "num k-b"], ["memory", "memory p2"], ["lag", "num p2"], ["more", "deed-cell k-deed"]];

/** What a member is to the others, in a word. */
export const roleOf = (member) => t(`member.${member.state === "joining" ? "joining" : member.role}`);

/** A member's state: a joining one is none yet; of an observer, other observers are not looked at (null). */
export const standing = (member) => (member.state === "joining" ? "joining" : member.reached === null ? "unseen" : member.reached ? "up" : "away");

/** Since when it is away, as far as that is known; empty when it is not. */
export function awayText(member) {
  const since = awaySince(member.id), node = rowsOf("nodes").get(member.id);
  if (member.reached !== false || member.state === "joining") return "";
  if (since) return t("member.away-for", { for: duration((Date.now() - since) / 1000) });
  return node ? t("member.seen", { for: duration((Date.now() - Date.parse(node.seen_at)) / 1000) }) : "";
}

/** The quorum in words: who leads, and how many more may fail. */
function verdict(now) {
  const { voters, voters_reached: reached } = now, need = needed(voters), spare = reached - need;
  if (!now.quorum && voters && spare < 0) return `${t("quorum.lost", { reached, voters })} ${t("quorum.lost.need", { need })}`;
  if (!now.quorum && (!voters || now.leader)) return t("quorum.no-part");
  if (now.members.length < 2) return t("quorum.alone");
  const lead = now.leader ? t("quorum.leads", { name: now.leader }) : t("quorum.no-leader");
  const rest = voters === 1 ? t("quorum.one", { name: now.members.find((one) => one.role !== "observer" && !one.witness)?.name ?? now.leader })
    : t(spare === 0 ? "quorum.none" : spare === 1 ? "quorum.spare.one" : "quorum.spare", { reached, voters, need, n: spare });
  return `${lead} ${rest}`;
}

function centerCell(member) {
  const center = centerOf(member.id);
  if (!center) return h("span", { class: "muted" }, "–");
  if (center.state === "serving") return h("a", { class: "link", href: center.public_url, title: center.public_url }, t("center"));
  return stateMark(center.state);
}

function cells(member) {
  const node = rowsOf("nodes").get(member.id);
  const late = awayText(member);
  return {
    state: stateMark(standing(member)),
    name: [h("span", { class: "clip" }, node ? h("a", { href: to("nodes", node.name) }, member.name) : member.name), member.here && h("span", { class: "tag" }, t("member.here")), member.witness && h("span", { class: "tag" }, t("member.witness"))],
    role: [roleOf(member), late && h("span", { class: "late" }, late)],
    address: h("span", { class: "mono" }, member.address || t("member.no-address")), center: centerCell(member),
    machines: member.witness ? "–" : number(node?.vms ?? 0),
    memory: node ? [h("span", {}, t("of", { used: mebibytes(node.memory_used_mb), all: mebibytes(node.memory_mb) })), bar(node.memory_used_mb / node.memory_mb, "used", t("bar", { label: t("col.memory"), n: Math.round((100 * node.memory_used_mb) / node.memory_mb) }), 1 - node.memory_reserve_mb / node.memory_mb)] : h("span", { class: "muted" }, "–"),
    lag: member.lag === null ? h("span", { class: "muted" }, "–") : number(member.lag),
    more: deeds(member),
  };
}

function deeds(member) {
  const center = centerOf(member.id);
  const label = t("more.for", { name: member.name });
  const button = gate(h("button", { type: "button", class: "btn square quiet low", "aria-label": label, title: label }, icon("more")));
  const items = centerDeeds(member, center);
  if (may("membership.leave") && member.here && !alone()) items.push({ text: t("leave"), icon: "right", danger: true, deed: () => leave(member) });
  return items.length ? menu(button, label, items) : "";
}

/** The table; a row is drawn anew only when it says something else: an open menu stays. */
function membersTable() {
  const drawn = new Map();
  const body = h("tbody");
  const lag = h("th", { scope: "col", class: "num p2" }, t("col.lag"));
  const heads = COLUMNS.map(([key, style]) => (key === "lag" ? lag : h("th", { scope: "col", class: style }, key === "more" ? h("span", { class: "hide" }, t("more")) : t(key === "machines" ? "place.machines" : `col.${key}`))));
  const element = h("table", { class: "table cards still" }, h("caption", { class: "hide" }, t("cluster.members")), h("thead", {}, h("tr", {}, heads)), body);
  function row(member) {
    const parts = cells(member);
    const sign = JSON.stringify([member, centerOf(member.id), Object.values(parts).flat(2).map((part) => part?.textContent ?? part)]);
    const kept = drawn.get(member.id);
    if (kept?.sign === sign) return kept.tr;
    const tr = h("tr", {}, COLUMNS.map(([key, style]) => (key === "name" ? h("th", { scope: "row", class: style }, h("span", { class: "with" }, parts.name)) : h("td", { class: style, "data-unit": key === "machines" ? ` ${t("vms.n", { n: "" }).trim()}` : null }, parts[key]))));
    tr.classList.toggle("faded", member.reached === false);
    drawn.set(member.id, { sign, tr });
    return tr;
  }
  return { element, show(rows) {
    element.classList.toggle("no-lag", rows.every((one) => one.lag === null));
    const wanted = rows.map(row);
    if (wanted.length !== body.children.length || wanted.some((tr, n) => body.children[n] !== tr)) body.replaceChildren(...wanted);
  } };
}

function agreement(now) {
  const need = needed(now.voters), share = now.voters && now.voters_reached / now.voters;
  const picture = bar(share, now.quorum ? "used" : "over", t("quorum.bar", { reached: now.voters_reached, voters: now.voters, need }), need / now.voters);
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, t("cluster.agreement"))),
    capacity(t("quorum.reached"), number(now.voters_reached), number(now.voters), picture, t(need === 1 ? "quorum.need.one" : "quorum.need", { need })),
    h("dl", { class: "facts pad" }, fact(t("cluster.leader"), now.leader || t("cluster.nobody")), fact(t("cluster.term"), number(now.term)), fact(t("cluster.level"), now.level, told(now.level_said, now.level_reason)),
      fact(t("cluster.asked"), now.node), fact(t("cluster.id"), h("span", { class: "mono" }, now.cluster))));
}

function centers() {
  const lines = cluster.centers.map((one) => h("li", {}, h("span", { class: "mark-cell" }, stateMark(one.state)), h("div", { class: "grow" }, h("b", { class: "strong" }, one.name), " ", one.public_url ? h("a", { class: "link", href: one.public_url }, one.public_url) : "",
    h("p", { class: one.problem ? "bad" : "muted" }, one.problem || t("center.binds", { bind: one.bind || "–" }))), h("span", { class: "end" }, time(one.since))));
  return h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h2", {}, t("cluster.centers")), h("span", {}, lines.length ? number(lines.length) : "")),
    lines.length ? h("ul", { class: "lines centers" }, lines) : h("p", { class: "second pad" }, t("center.none")));
}

// A host that is set up as a witness joins as one; any other joins with what it has.
function joinButton(now) {
  if (!alone() || !may("membership.join")) return "";
  const witness = now.members.some((one) => one.here && one.witness);
  return h("a", { class: "btn low", href: to("cluster", witness ? "witness" : "join") }, t(witness ? "witness.open" : "join.open"));
}

function head(now) {
  const kind = trouble();
  const state = kind === "quorum" ? "faulty" : kind || now.members.some((one) => one.reached === false) || cluster.centers.some((one) => one.problem) ? "attention" : "healthy";
  return h("div", { class: "head" }, h("h1", { class: "same" }, t("place.cluster"), " ", badge(state)),
    h("div", { class: "btns end" }, joinButton(now), gate(h("button", { type: "button", class: "btn low", onclick: addWitness }, t("witness.add")), "membership.token"), gate(h("button", { type: "button", class: "btn low primary", onclick: letIn }, icon("plus"), t("token.join")), "membership.token")),
    h("p", { class: "say" }, verdict(now)));
}

/** The page. */
export function clusterPage() {
  const table = membersTable(), guests = invited();
  const top = h("div"), side = h("div", { class: "stack" }), count = h("span");
  const list = h("section", { class: "sec members" }, h("div", { class: "sec-head" }, h("h2", {}, t("cluster.members")), count), h("div", { class: "wide-scroll" }, table.element));
  const element = h("div", { class: "page" }, h("p", { class: "second" }, t("loading")));
  let sign = "";
  function draw() {
    const { now } = cluster;
    if (!now) return;
    if (!top.parentNode) element.replaceChildren(top, list, guests.element, side, doctor());
    table.show(members());
    count.textContent = number(members().length);
    const { applied_index: _, ...rest } = now;
    const next = JSON.stringify([rest, cluster.centers, trouble()]);
    if (next === sign) return;
    sign = next;
    top.replaceChildren(head(now));
    side.className = "duo";
    side.replaceChildren(centers(), agreement(now));
  }
  const ends = [watchCluster(draw), watch("nodes", draw), guests.end];
  const clock = setInterval(draw, 5000);
  draw();
  return { element, crumbs: () => [[t("place.cluster"), ""]], stay: (name, rest) => name === "cluster" && !rest.length, end() { ends.forEach((one) => one()); clearInterval(clock); } };
}
