// What can be done with members: let one in, take one out, make one a center and an ordinary node again.
import { centerHere, look } from "../cluster.js";
import { send } from "../api.js";
import { duration, mebibytes, number, t } from "../i18n.js";
import { ask, blast, dialog } from "../parts/dialog.js";
import { h } from "../parts/dom.js";
import { machinesOn } from "../parts/places.js";
import { toast } from "../parts/toast.js";
import { rowsOf, soon } from "../store.js";

const NAMES = 8;
const copyButton = (text) => h("button", { type: "button", class: "btn primary", onclick: async () => { await navigator.clipboard?.writeText(text); toast(t("copied")); } }, t("copy"));

/** Make a token that lets one node in. */
export const letIn = () => askToken("token.join.say", ({ command }) => ({ command, run: t("token.join.run"), also: t("token.join.panel") }));

/** Make one for a small host that only votes. */
export const addWitness = () => askToken("witness.say", ({ command }) => ({ command: command.replace("membership join", "witness add"), run: t("witness.run"), also: t("witness.panel") }));

function askToken(say, told) {
  const path = "/v1/membership/tokens";
  ask({ title: t(say === "witness.say" ? "witness.title" : "token.join.title"), button: t("token.join.do"), same: { line: "girginosvm membership token create", method: "POST", path, body: {} }, body: [h("p", {}, t(say))],
    async deed() {
      const made = await send("POST", path);
      // The question closes first; what follows it stands alone.
      setTimeout(() => showCommand(made, told(made)), 0);
    } });
}

/** The command to give on the other host, and how long it is good for. It is shown here and nowhere else. */
function showCommand({ expires_at: until }, { command, run, also }) {
  const left = h("p", { class: "second", role: "timer" });
  const copy = copyButton(command);
  const box = dialog(t("token.join.made"), [h("p", {}, run), h("pre", { class: "once", tabindex: "0" }, command), left, h("p", { class: "muted" }, also)],
    [h("button", { type: "button", class: "btn", onclick: () => box.close() }, t("close")), copy], { wide: "broad" });
  const tell = () => {
    const rest = (Date.parse(until) - Date.now()) / 1000;
    left.textContent = rest > 0 ? t("token.join.left", { left: duration(rest) }) : t("token.join.over");
    copy.disabled = rest <= 0;
  };
  const clock = setInterval(tell, 1000);
  box.addEventListener("close", () => clearInterval(clock));
  tell();
  copy.focus();
}

/** Take a member out: names what is on it and wants the name. */
export function removeMember(member) {
  const vms = machinesOn(member);
  // The node's own sums: the list of machines may not have come to its end yet.
  const node = rowsOf("nodes").get(member.id);
  const count = Math.max(node?.vms ?? 0, vms.length);
  const names = vms.slice(0, NAMES).map((vm) => vm.name).join(", ") + (count > NAMES ? ` +${number(count - NAMES)}` : "");
  const path = `/v1/membership/members/${encodeURIComponent(member.id)}`;
  const lost = h("input", { type: "checkbox", name: "lost", onchange: draw });
  const hits = h("div");
  function draw() {
    const fate = lost.checked ? t("member.given-up") : t("fate.stays");
    hits.replaceChildren(blast([
      ["nodes", member.name, member.address, t("fate.removed")],
      ...(count ? [["machines", t(count === 1 ? "vms.one" : "vms.n", { n: number(count) }), [node && mebibytes(node.memory_used_mb), names].filter(Boolean).join(": "), fate, !lost.checked]] : []),
    ]));
  }
  draw();
  ask({
    title: t("member.remove.title", { name: member.name }), name: member.name, danger: true, button: t("member.remove.do", { name: member.name }),
    same: (form) => ({ line: `girginosvm membership remove ${member.name}${form.has("lost") ? " --lost" : ""}`, method: "DELETE", path, body: { lost: form.has("lost") } }),
    body: [h("p", {}, t("member.remove.say")), h("p", { class: "also" }, t("member.remove.keys")), member.here && h("p", { class: "note" }, t("member.remove.here")), hits, count > 0 && h("p", { class: "note" }, t("member.remove.machines")),
      count > 0 && h("label", { class: "tick" }, lost, h("span", {}, t("member.lost", { name: member.name })))],
    async deed(form) {
      await send("DELETE", path, { lost: form.has("lost") });
      look(true);
      for (const list of ["nodes", "vms"]) soon(list, 0);
      toast(t("said.removed", { name: member.name }));
    },
  });
}

const field = (text, name, value, more = {}) => h("label", { class: "field" }, h("span", {}, text), h("input", { class: "in mono", name, value, autocomplete: "off", spellcheck: "false", ...more }));

/** Open the center's port on a node, or open it elsewhere. */
export function promote(member, center) {
  const host = (member.api || member.address || location.host).replace(/:\d+$/, "");
  const path = "/v1/center/promote";
  const said = (form) => ({ node: member.name, bind: form.get("bind"), public_url: form.get("public_url") });
  ask({
    title: t("center.promote.title", { name: member.name }), button: t("center.promote.do", { name: member.name }),
    same: (form) => ({ line: `girginosvm center promote --node ${member.name} --bind ${form.get("bind")} --public-url ${form.get("public_url")}`, method: "POST", path, body: said(form) }),
    body: [h("p", {}, t("center.promote.say")), field(t("center.bind"), "bind", center?.bind || "0.0.0.0:1997"), field(t("center.url"), "public_url", center?.public_url || `https://${host}:1997`, { inputmode: "url" })],
    async deed(form) {
      await send("POST", path, said(form));
      look(true);
      toast(t("said.promoted", { name: member.name }), "work");
    },
  });
}

/** Close the center's port. */
export function demote(member, center) {
  const path = "/v1/center/demote", body = { node: member.name, confirm: true };
  ask({
    title: t("center.demote.title", { name: member.name }), danger: true, button: t("center.demote.do", { name: member.name }), same: { line: `girginosvm center demote --node ${member.name} --confirm`, method: "POST", path, body },
    body: [h("p", {}, t("center.demote.say")), blast([["overview", center.public_url, center.bind, t("center.closes")]]), centerHere()?.node === member.id && h("p", { class: "note" }, t("center.demote.here"))],
    async deed() {
      await send("POST", path, body);
      look(true);
      toast(t("said.demoted", { name: member.name }));
    },
  });
}
