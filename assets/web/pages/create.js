// Making things: the form is the operation's schema, below it the same as a command line and as a REST call.
import { mayOpen } from "../access.js";
import { get, newKey, send } from "../api.js";
import { bytes, mebibytes, number, t, worded } from "../i18n.js";
import { complaint, dialog } from "../parts/dialog.js";
import { h } from "../parts/dom.js";
import { empty } from "../parts/empty.js";
import { form } from "../parts/form.js";
import { gate } from "../parts/gate.js";
import { toast } from "../parts/toast.js";
import { twins } from "../parts/twins.js";
import { go, here, to } from "../router.js";
import { rowsOf, soon, watch } from "../store.js";

const byName = (kind, name) => [...rowsOf(kind).values()].find((row) => row.name === name);
const bold = (text) => h("b", {}, text);

// The node that the cluster would choose, once it has said so; before that the one with the most memory free.
let foreseen = null;

function roomiest() {
  const free = (node) => node.memory_mb - (node.memory_reserve_mb ?? 0) - node.memory_used_mb;
  const node = (foreseen?.node && byName("nodes", foreseen.node)) || [...rowsOf("nodes").values()].sort((a, b) => free(b) - free(a))[0];
  return node && { node, free: Math.max(0, free(node)) };
}

// What a value will mean, beside its field.
const CONSEQUENCES = {
  image(name) {
    const image = byName("images", name);
    return image ? [t(image.version ? "fate.image" : "fate.image.plain", { version: image.version, gib: number(image.min_disk_gb || image.virtual_gb) }), image.signed ? "" : ` ${t("fate.unsigned")}`] : t("fate.no-image");
  },
  vcpu(value) {
    const best = roomiest();
    return best && [bold(t("fate.cpus", { n: value ?? "–", all: number(best.node.cpus) })), ` ${t("fate.cpus.say", { node: best.node.name, used: number(best.node.vcpus ?? 0) })}`];
  },
  memory_mb(value) {
    const best = roomiest();
    return best && [bold(t("of", { used: mebibytes(Number(value) || 0), all: mebibytes(best.free) })), ` ${t("fate.memory", { node: best.node.name })}`];
  },
  disk_gb(value, all) {
    const image = byName("images", all.image);
    return value === 0 && image ? t("fate.disk.image", { gib: number(image.virtual_gb) }) : null;
  },
  pool(name) {
    const pool = byName("pools", name);
    return pool && [bold(bytes(pool.free_bytes)), ` ${t("fate.pool", { reserve: bytes(pool.reserved_bytes) })}`];
  },
  network(name) {
    const net = byName("networks", name);
    return net && [bold(number(net.free)), ` ${t("fate.network", { cidr: net.cidr, gateway: net.gateway || "–" })}`];
  },
};

// What the form at `#/<place>/new` (or `#/settings/<key>/new`) does, and where one is after it.
const DEEDS = {
  machines: { action: "CreateVm", method: "POST", path: "/v1/vms", title: "vm.create.title", groups: ["what", "size", "network", "guest", "notes"], needs: ["images", "networks", "pools", "nodes", "vms"], list: "vms", button: "create.name", done: (answer) => to("machines", answer.vm) },
  images: { action: "PullImage", method: "POST", path: "/v1/images/pull", title: "image.pull", groups: ["image"], needs: ["images"], list: "images", button: "pull.name", done: () => to("images") },
  network: { action: "AddNetwork", method: "POST", path: "/v1/networks", title: "network.create", groups: ["network"], without: ["vlan"], needs: ["networks"], list: "networks", button: "create.name", done: () => to("network") },
  storage: { action: "AddPool", method: "POST", path: "/v1/pools", title: "pool.create", groups: ["pool"], needs: ["pools"], list: "pools", button: "create.name", done: () => to("storage") },
  users: { action: "CreateUser", method: "POST", path: "/v1/users", title: "user.create", groups: ["person"], needs: ["users"], list: "users", button: "create.name", done: () => to("settings") },
  tokens: { action: "CreateToken", method: "POST", path: "/v1/tokens", title: "token.create", groups: ["token"], needs: ["tokens"], list: "tokens", button: "create.name", done(answer) { showOnce(answer); return to("settings"); } },
};
const PLACES = { users: "settings", tokens: "settings" };

const ASKED = ["image", "memory_mb", "disk_gb", "pool", "firmware", "project", "node", "anti_affinity", "anti_affinity_soft"];
const PAUSE_MS = 250;

/** Ask where a machine of these values would land, once nothing was typed for a moment; `told(answer)`: null when the
 *  values are none that could be asked for. Returns {ask(values), end()}. */
function foresee(told) {
  let due = 0, control = null, last = "";
  return {
    ask(values) {
      const query = new URLSearchParams(Object.entries(values).filter(([name, value]) => ASKED.includes(name) && value !== null && value !== "")).toString();
      if (query === last) return;
      last = query;
      clearTimeout(due);
      control?.abort();
      control = new AbortController();
      const { signal } = control;
      due = setTimeout(() => get(`/v1/placement?${query}`, signal).then(told, (problem) => problem.name !== "AbortError" && told(null)), PAUSE_MS);
    },
    again() { last = ""; },
    end() { clearTimeout(due); control?.abort(); foreseen = null; },
  };
}

/** The answer as a sentence: the node, of how many; or why there is none. */
function landing({ node, fit, reasons }, asked) {
  const why = reasons.slice(0, 3).map((one) => [one.node, worded(`placed.${one.word}`, one.values) ?? one.text].filter(Boolean).join(" ")).join("; ");
  if (!node) return [h("b", { class: "bad" }, t("create.nowhere")), h("span", {}, ` ${why}.`)];
  const row = byName("nodes", node), room = row && row.memory_mb - (row.memory_reserve_mb ?? 0);
  return [h("b", {}, t(fit === 1 ? "create.lands.only" : "create.lands", { node, n: number(fit) })), room > 0 && ` ${t("create.booked", { n: number((100 * (row.memory_used_mb + (Number(asked) || 0))) / room) })}`];
}

/** A token is in this answer and nowhere else. */
function showOnce({ name, token }) {
  const text = h("pre", { class: "once", tabindex: "0" }, token);
  const copy = h("button", { type: "button", class: "btn primary", onclick: async () => { await navigator.clipboard?.writeText(token); toast(t("copied")); } }, t("copy"));
  const box = dialog(t("token.once", { name }), [h("p", {}, t("token.once.say")), text], [h("button", { type: "button", class: "btn", onclick: () => box.close() }, t("close")), copy]);
}

/** The page that makes what `key` says. */
export function create(key) {
  const deed = DEEDS[key] ?? DEEDS.machines;
  const room = PLACES[key] ?? key;
  const element = h("div", { class: "page" }, h("div", { class: "head" }, h("h1", { class: "same" }, t(deed.title))), h("p", { class: "second" }, t("loading")));
  const page = { element, crumbs: () => [[t(`place.${room}`), to(room)], [t("create"), ""]], close: () => go(to(room)), end() {} };
  if (!mayOpen(location.hash)) {
    element.lastChild.replaceWith(empty(t("form.not-yours"), t("form.not-yours.say"), t(`place.${room}`), to(room)));
    return page;
  }
  let stops = deed.needs.map((kind) => watch(kind, () => sheet?.refill())), sheet = null;
  get("/v1/schema").then((forms) => {
    const { schema, cli, positionals } = forms[deed.action];
    sheet = draw(element, { ...deed, cli, positionals }, room, schema);
  }).catch((problem) => element.lastChild.replaceWith(h("p", { class: "err", role: "alert" }, problem.message)));
  return { ...page, end() { stops.forEach((stop) => stop()); stops = []; sheet?.end(); } };
}

function draw(element, deed, room, schema) {
  let key = newKey();
  const wrong = complaint();
  const pair = twins(deed);
  const last = gate(h("button", { type: "submit", class: "btn primary" }));
  let sheet = null;
  sheet = form(schema, { groups: deed.groups, without: deed.without, consequences: CONSEQUENCES, preset: Object.fromEntries(here().query), changed: () => sheet && update() });
  const say = h("p", { class: "say", role: "status" });
  const where = room === "machines" && foresee((answer) => {
    foreseen = answer;
    sheet.update();
  });
  const whole = h("form", { novalidate: true, onsubmit: submit }, wrong.box, sheet.element, pair.element,
    h("div", { class: "form-foot" }, say, h("div", { class: "btns" }, h("a", { class: "btn", href: to(room) }, t("cancel")), last)));
  element.lastChild.replaceWith(whole);
  update();
  sheet.focus();

  function update() {
    const values = sheet.values();
    pair.show(values, sheet.schemas, key);
    last.textContent = values.name || values.email ? t(deed.button, { name: values.name || values.email }) : t(deed.title);
    if (where) where.ask(sheet.all());
    const text = h("span", {}, foreseen ? landing(foreseen, sheet.all().memory_mb) : t("create.here"));
    if (say.textContent !== text.textContent) say.replaceChildren(text);
  }

  async function submit(event) {
    event.preventDefault();
    last.disabled = true;
    wrong.box.hidden = true;
    try {
      const values = sheet.values();
      const answer = await send(deed.method, deed.path, values, key);
      soon(deed.list, 0);
      soon("operations", 0);
      toast(t("said.create", { name: values.name ?? values.email }), "work");
      go(deed.done(answer ?? {}));
    } catch (problem) {
      // Another try is another command: its body will differ.
      key = newKey();
      const faults = problem.faults.length ? problem.faults : ["name-taken", "pool-exists", "network-exists", "image-exists", "token-exists"].includes(problem.code) ? [{ pointer: "/name", detail: problem.message }] : [];
      if (!sheet.faults(faults)) wrong.show(problem);
      element.parentElement?.scrollTo(0, 0);
      update();
    }
    last.disabled = false;
  }
  return { ...sheet, refill() { where && where.again(); sheet.refill(); }, end: () => where && where.end() };
}
