// What can be done to a machine. A button says what it will do; only destroying asks for the name.
import { send } from "../api.js";
import { t } from "../i18n.js";
import { ask, blast } from "../parts/dialog.js";
import { h } from "../parts/dom.js";
import { toast } from "../parts/toast.js";
import { soon } from "../store.js";

async function order(vm, verb, body, said) {
  await send("POST", path(vm, verb), body);
  soon("operations", 0);
  soon("vms");
  toast(t(said, { name: vm.name }), "work");
}

async function now(vm, verb, body, said) {
  try { await order(vm, verb, body, said); } catch (problem) { toast(problem.message, "fault"); }
}

const path = (vm, verb) => `/v1/vms/${encodeURIComponent(vm.id)}${verb ? `/${verb}` : ""}`;

function question(vm, key, deed, { more = null, verb, flags = "", sent = {} }) {
  ask({ same: { line: `girginosvm vm ${verb} ${vm.ours === false ? vm.id : vm.name}${flags}`, method: "POST", path: path(vm, verb), body: sent }, title: t(`${key}.title`, { name: vm.name }), body: [h("p", {}, t(`${key}.say`, { name: vm.name })), more], button: t(`${key}.do`, { name: vm.name }), deed });
}

/** Start it: asks nothing. */
export const start = (vm) => now(vm, "start", {}, "said.start");

/** Ask the guest to shut down; on wish the power goes after a minute. */
export function shutDown(vm) {
  const tick = h("label", { class: "tick" }, h("input", { type: "checkbox", name: "force" }), h("span", {}, t("stop.force")));
  question(vm, "stop", (form) => order(vm, "stop", form.has("force") ? { graceful: true, force: true, after_s: 60 } : { graceful: true }, "said.stop"), { more: tick, verb: "stop", flags: " --graceful", sent: { graceful: true } });
}

/** Cut the power. */
export const powerOff = (vm) => question(vm, "off", () => order(vm, "stop", { force: true }, "said.off"), { verb: "stop", flags: " --force", sent: { force: true } });
/** Ask the guest to reboot. */
export const reboot = (vm) => question(vm, "reboot", () => order(vm, "reboot", {}, "said.reboot"), { verb: "reboot" });
/** Reset, without asking the guest. */
export const reset = (vm) => question(vm, "reset", () => order(vm, "reboot", { force: true }, "said.reset"), { verb: "reboot", flags: " --force", sent: { force: true } });
/** Take a foreign domain under management. */
export function adopt(vm) {
  const name = h("input", { class: "in", name: "name", placeholder: vm.name, autocomplete: "off", spellcheck: "false" });
  question(vm, "adopt", (form) => order(vm, "adopt", form.get("name") ? { name: form.get("name") } : {}, "said.adopt"), { verb: "adopt", more: h("label", { class: "field" }, h("span", {}, t("adopt.name")), name) });
}

/** Destroy it: lists what it hits and wants the name. */
export function destroy(vm, gone) {
  const purge = h("input", { type: "checkbox", name: "purge", onchange: draw });
  const hits = h("div");
  const running = vm.desired === "on" || vm.state === "running";
  function draw() {
    const fate = purge.checked ? t("destroy.erased") : t("destroy.kept");
    hits.replaceChildren(blast([
      ["machines", vm.name, running ? t("destroy.running", { node: vm.node }) : t("on-node", { node: vm.node }), t("destroy.destroyed")],
      ["storage", `${vm.disk_gb} GiB`, t("destroy.disk"), fate, !purge.checked],
      ...(vm.addresses ?? []).map((address) => ["network", address, "", t("destroy.free")]),
    ]));
  }
  draw();
  ask({
    same: { line: `girginosvm vm destroy ${vm.name}${running ? " --force" : ""}`, method: "DELETE", path: path(vm), body: { purge: false, force: running } },
    title: t("destroy.title", { name: vm.name }), name: vm.name, danger: true, button: t("destroy.do", { name: vm.name }),
    body: [h("p", {}, t(running ? "destroy.say.running" : "destroy.say")), hits, h("label", { class: "tick" }, purge, h("span", {}, t("destroy.purge")))],
    async deed() {
      await send("DELETE", path(vm), { purge: purge.checked, force: running });
      soon("operations", 0);
      soon("vms");
      toast(t("said.destroy", { name: vm.name }), "work");
      gone();
    },
  });
}
