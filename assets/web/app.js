// The frame: places, top bar, notices, drawer, keys. A page is {element, crumbs, table, stay(), close(), end()}.
import { learnRole, person, signOut } from "./api.js";
import { alone, centerHere, cluster, followCluster, leaveCluster, members, trouble, watchCluster } from "./cluster.js";
import { language, number, setLanguage, t } from "./i18n.js";
import { needs } from "./needs.js";
import { clusterPage } from "./pages/cluster.js";
import { create } from "./pages/create.js";
import { images } from "./pages/images.js";
import { join } from "./pages/join.js";
import { events, operations } from "./pages/log.js";
import { machines } from "./pages/machines.js";
import { networks } from "./pages/networks.js";
import { node } from "./pages/node.js";
import { nodes } from "./pages/nodes.js";
import { overview } from "./pages/overview.js";
import { settings } from "./pages/settings.js";
import { signIn } from "./pages/signin.js";
import { storage } from "./pages/storage.js";
import { upload } from "./pages/upload.js";
import { dialog } from "./parts/dialog.js";
import { h, hidden, icon, loadIcons, shape, svg } from "./parts/dom.js";
import { drawer } from "./parts/drawer.js";
import { keepGates } from "./parts/gate.js";
import { menu } from "./parts/menu.js";
import { notice } from "./parts/notice.js";
import { palette } from "./parts/palette.js";
import { kindOf, runs, wordOf } from "./parts/state.js";
import { go, here, to } from "./router.js";
import { follow, leave, link, rowsOf, watch, watchLink } from "./store.js";

const ROOMS = {
  overview: { page: overview, icon: "overview", key: "v", narrow: true },
  machines: { page: machines, icon: "machines", key: "m", narrow: true },
  nodes: { page: nodes, icon: "nodes", key: "n", narrow: true },
  cluster: { page: (rest) => (["join", "witness"].includes(rest[0]) ? join(rest[0] === "witness") : clusterPage()), icon: "cluster", key: "c" },
  network: { page: networks, icon: "network", key: "w", gap: true },
  storage: { page: storage, icon: "storage", key: "s" },
  images: { page: images, icon: "images", key: "i" },
  operations: { page: operations, icon: "operations", key: "o", gap: true, narrow: true },
  events: { page: events, icon: "events", key: "e" },
  settings: { page: (rest) => settings(rest, corner), icon: "settings", key: "t", gap: true },
};
const THEME = "girginosvm.theme";
const root = document.getElementById("root");
let page = null, frame = null, room = "";

function theme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem(THEME, document.documentElement.dataset.theme); } catch { /* a private window keeps nothing */ }
}

function speak() {
  setLanguage(language() === "en" ? "tr" : "en");
  rebuild();
}

/** Buttons for language and light, the same on every page. */
export function corner() {
  return [
    h("button", { type: "button", class: "btn quiet low wide", "aria-label": t("language.other"), title: t("language.other"), onclick: speak }, language() === "en" ? "TR" : "EN"),
    h("button", { type: "button", class: "btn square quiet low wide", "aria-label": t("theme"), title: t("theme"), onclick: theme }, icon("theme")),
  ];
}

const places = () => Object.entries(ROOMS).map(([name, one]) => ({ ...one, id: name, name: t(`place.${name}`), address: to(name) }));

function placeLink({ id, icon: picture, name, address }) {
  return h("a", { class: "place", href: address, "data-place": id }, icon(picture), h("span", {}, name), h("span", { class: "end" }));
}

function rail() {
  const all = places();
  const wide = h("ul", { class: "places" }, all.map((one) => h("li", { class: [one.narrow && "m", one.gap && "gap"].filter(Boolean).join(" ") }, placeLink(one))));
  const rest = all.filter((one) => !one.narrow);
  const more = h("details", { class: "more" }, h("summary", { class: "place" }, icon("menu"), h("span", {}, t("more"))),
    h("ul", { class: "float" }, rest.map((one) => h("li", { onclick: () => { more.open = false; } }, placeLink(one))),
      h("li", {}, h("button", { class: "place", type: "button", onclick: speak }, icon("info"), h("span", {}, t("language.other")))),
      h("li", {}, h("button", { class: "place", type: "button", onclick: theme }, icon("theme"), h("span", {}, t("theme")))),
      h("li", {}, h("p", { class: "here" }))));
  return h("nav", { class: "rail", "aria-label": t("places") },
    h("a", { class: "brand", href: to("overview") }, svg("svg", { "aria-hidden": "true" }, svg("use", { href: "#i-mark" })), h("span", {}, "girginosvm")),
    wide, more, h("p", { class: "here" }));
}

function top() {
  const name = person()?.name ?? "";
  const who = h("button", { type: "button", class: "person", "aria-label": t("person", { name }), title: name }, name.slice(0, 2).toUpperCase());
  return h("header", { class: "top" },
    h("nav", { class: "crumbs", "aria-label": t("here") }, h("ol", { class: "crumbs" })),
    h("button", { type: "button", class: "find", title: t("palette.hint"), onclick: () => palette(places()) }, icon("search"), h("span", {}, t("search.short")), h("kbd", { "aria-hidden": "true" }, "Ctrl K")),
    h("a", { class: "cluster", href: to("cluster") }),
    h("div", { class: "tools" }, corner(), menu(who, t("person", { name }), [
      { text: t("keys.title"), icon: "key", deed: keysHelp }, null, { text: t("sign-out"), icon: "right", deed: signOut }])));
}

function build() {
  const low = drawer();
  const notes = h("div", { class: "notes", role: "status" });
  const main = h("main", { class: "main", id: "main", tabindex: "-1" });
  const bar = rail(), head = top();
  const element = h("div", { class: "app" }, bar, head, notes, main, low.element);
  root.replaceChildren(h("nav", { "aria-label": t("skip") }, h("a", { class: "skip", href: location.hash, onclick: (event) => { event.preventDefault(); main.focus(); } }, t("skip"))), element);
  const draw = () => { chip(head.querySelector(".cluster")); foot(bar); notice(notes); };
  let due = 0;
  const later = () => { due ||= requestAnimationFrame(() => { due = 0; draw(); }); };
  const place = watchCluster(() => { later(); if (page) mark(room); });
  const ends = [low.end, keepGates(), place, ...["vms", "nodes", "pools", "images", "networks", "operations"].map((kind) => watch(kind, later)), watchLink((type) => { later(); if (type === "link" && page) mark(room); })];
  const clock = setInterval(later, 1000);
  frame = { main, head, bar, end() { ends.forEach((one) => one()); clearInterval(clock); cancelAnimationFrame(due); } };
  draw();
}

// What the chip calls a cluster: how it is, in one word, by the worst of what needs a person.
function condition(lines) {
  if (link.lostAt > 0) return ["attn", t("live.lost")];
  if (trouble()) return ["fault", t({ quorum: "quorum.word", leader: "quorum.word.leader", part: "quorum.word.part" }[trouble()])];
  const state = { fault: "faulty", attn: "attention" }[lines[0]?.kind] ?? "healthy";
  return [kindOf(state), wordOf(state)];
}

function chip(place) {
  const vms = [...rowsOf("vms").values()];
  const running = vms.length ? t("vms.running", { n: number(vms.filter(runs).length), all: number(vms.length) }) : t("empty.vms");
  const [kind, word] = condition(needs(link.halted).filter((line) => line.kind !== "unknown"));
  place.className = `cluster ${kind}`;
  const { now } = cluster, count = rowsOf("nodes").size;
  const text = alone() ? [word, t(count === 1 ? "nodes.one" : "nodes.n", { n: count }), running]
    : [word, t("quorum.chip", { reached: now.voters_reached, voters: now.voters }), now.leader ? t("quorum.chip.leads", { name: now.leader }) : t("cluster.nobody")];
  if (place.dataset.text === text.join()) return;
  place.dataset.text = text.join();
  place.replaceChildren(shape(kind), h("b", {}, text[0]), h("span", { class: "sep x1" }, hidden(", ")), h("span", { class: "x1" }, text[1]), h("span", { class: "sep x2" }, hidden(", ")), h("span", { class: "x2" }, text[2]));
}

/** Which panel this is: of which node, of which cluster, and whether it is a center. */
function foot(bar) {
  const work = [...rowsOf("operations").values()].filter((one) => one.state === "running").length;
  counts(bar, { machines: rowsOf("vms").size, operations: work, overview: needs(link.halted).filter((line) => line.kind !== "unknown").length, cluster: members().filter((one) => one.reached === false).length });
  const said = [link.node, centerHere() ? t("center.word") : "", alone() ? "" : t("cluster.short", { id: cluster.now.cluster.slice(0, 8) }), link.version];
  for (const place of bar.querySelectorAll(".here")) {
    if (place.dataset.text === said.join()) continue;
    place.dataset.text = said.join();
    place.replaceChildren(h("b", {}, said[0]), said[1] && ` · ${said[1]}`, said[2] && h("br"), said[2] && h("span", { title: cluster.now.cluster }, said[2]), h("br"), said[3]);
  }
}

function counts(bar, found) {
  for (const [name, n] of Object.entries(found)) {
    for (const end of bar.querySelectorAll(`[data-place="${name}"] .end`)) end.textContent = n ? number(n) : "";
  }
}

function show() {
  if (!person()) return door();
  if (!frame) {
    build();
    follow();
    followCluster();
    // The role of a session that was kept may be another by now.
    learnRole().then((news) => news && rebuild(), () => {});
  }
  const { path } = here();
  const [name = "overview", ...rest] = path;
  if (!ROOMS[name]) return go(to("overview"), { replace: true });
  if (page?.stay?.(name, rest)) return mark(name);
  page?.end?.();
  room = name;
  page = rest.at(-1) === "new" ? create(rest.length > 1 ? rest[0] : name) : name === "images" && rest[0] === "upload" ? upload() : name === "nodes" && rest[0] ? node(rest[0]) : ROOMS[name].page(rest);
  frame.main.replaceChildren(page.element);
  frame.main.scrollTop = 0;
  mark(name);
}

function mark(name) {
  for (const one of frame.bar.querySelectorAll("[data-place]")) {
    if (one.dataset.place === name) one.setAttribute("aria-current", "page");
    else one.removeAttribute("aria-current");
  }
  const crumbs = page.crumbs();
  const scope = link.node && t(centerHere() ? "scope.center" : "scope.node", { name: link.node });
  document.title = [crumbs.at(-1)[0], scope, "girginosvm"].filter(Boolean).join(" · ");
  if (scope) crumbs.unshift([scope, to("cluster")]);
  frame.head.querySelector("ol").replaceChildren(...crumbs.map(([text, address], n) => h("li", { class: "clip" },
    n < crumbs.length - 1 ? h("a", { href: address }, text) : h("span", { class: "clip", "aria-current": "page" }, text))));
}

addEventListener("crumbs", () => frame && page && mark(room));

function close() {
  page?.end?.();
  frame?.end();
  page = frame = null;
}

function door() {
  close();
  leave();
  leaveCluster();
  root.replaceChildren(signIn(corner(), show));
  root.querySelector("input")?.focus();
}

function rebuild() {
  if (!person()) return door();
  close();
  build();
  show();
}

function keysHelp() {
  const lines = [["/", "keys.search"], ["j", "keys.down"], ["k", "keys.up"], ["Enter", "keys.open"], ["Esc", "keys.close"], ["Ctrl K", "keys.palette"], ...(page?.create ? [["c", "keys.create"]] : []), ["?", "keys.help"]];
  dialog(t("keys.title"), h("dl", { class: "facts keys" }, lines.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, t(text))]),
    places().flatMap((one) => [h("dt", {}, h("kbd", {}, "g"), " ", h("kbd", {}, one.key)), h("dd", {}, one.name)])), []);
}

let waiting = 0;

function keys(event) {
  if (!person() || document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); return palette(places()); }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input, textarea, select");
  if (event.key === "Escape") return typing ? event.target.blur() : page?.close?.();
  if (typing) return;
  if (Date.now() - waiting < 1200) {
    waiting = 0;
    const one = places().find((place) => place.key === event.key);
    if (one) { event.preventDefault(); return go(one.address); }
  }
  const deeds = {
    "/": () => document.querySelector(".field-find input")?.focus(), j: () => page?.table?.step(1), k: () => page?.table?.step(-1),
    g: () => { waiting = Date.now(); }, "?": keysHelp, c: () => page?.create && go(page.create),
    Enter: () => !event.target.closest("a, button, summary, [role=grid], [role=tree]") && page?.table?.open(),
  };
  if (!deeds[event.key]) return;
  if (event.key !== "Enter") event.preventDefault();
  deeds[event.key]();
}

try {
  const kept = localStorage.getItem(THEME);
  if (kept) document.documentElement.dataset.theme = kept;
} catch { /* as above */ }
setLanguage(language());
loadIcons();
addEventListener("hashchange", show);
addEventListener("signed-out", door);
addEventListener("keydown", keys);
show();
