// A state: always a shape and a word. The word says what it is, not how bad.
import { memberOf } from "../cluster.js";
import { known, language, number, t } from "../i18n.js";
import { link } from "../store.js";
import { h, shape } from "./dom.js";

const KINDS = {
  running: "run",
  ready: "ok", done: "ok", up: "ok", healthy: "ok", active: "ok",
  stopped: "stop", foreign: "stop", disabled: "stop", revoked: "stop", expired: "stop", kept: "stop",
  serving: "ok", cordoned: "stop", maintenance: "stop", drained: "stop",
  joining: "work", opening: "work", closing: "work", draining: "work",
  away: "fault",
  building: "work", starting: "work", stopping: "work", destroying: "work", pulling: "work", working: "work",
  paused: "attn", unsigned: "attn", attention: "attn",
  crashed: "fault", failed: "fault", faulty: "fault",
};

/** Which of the shapes a state has. */
export const kindOf = (state) => KINDS[state] ?? "unknown";

/** A state as a person calls it. */
export const wordOf = (state) => known(`state.${state}`) ?? state;

/** Shape and word. */
export function stateMark(state, word = wordOf(state)) {
  return h("span", { class: `state ${kindOf(state)}` }, shape(kindOf(state)), word);
}

/** The same on a tint; stands only beside a name. */
export function badge(state, word = wordOf(state)) {
  return h("span", { class: `badge ${kindOf(state)}` }, shape(kindOf(state)), word);
}

/** Nobody hears of a machine while its node is silent, or this one cut off: its state is the last one that was heard.
 *  The members are asked for all the time; a machine's row is as of its last change. */
export const unheard = (vm) => link.live && (memberOf(vm.node) ?? vm).heard === false;

/** It runs, as far as anybody knows now. */
export const runs = (vm) => vm.state === "running" && !unheard(vm);

/** A machine's shape and word. */
export const vmState = (vm) => (unheard(vm) ? ["unknown", t("state.was", { state: wordOf(vm.state).toLocaleLowerCase(language()) })] : [kindOf(vm.state), wordOf(vm.state)]);

/** Both, as `stateMark`. */
export function vmMark(vm) {
  const [kind, word] = vmState(vm);
  return h("span", { class: `state ${kind}` }, shape(kind), h("span", { class: "clip", title: word }, word));
}

/** Both, as `badge`. */
export function vmBadge(vm) {
  const [kind, word] = vmState(vm);
  return h("span", { class: `badge ${kind}` }, shape(kind), word);
}

/** How many machines are in which state, a mark each. */
export const legend = (vms) => Object.values(Object.groupBy(vms, (vm) => vmState(vm).join(" "))).map((rows) => {
  const [kind] = vmState(rows[0]), said = { n: number(rows.length), state: wordOf(rows[0].state).toLocaleLowerCase(language()) };
  return h("span", { class: `state ${kind}` }, shape(kind), unheard(rows[0]) ? t("legend.was", said) : `${said.n} ${said.state}`);
});

/** A node's state: away when the node that answers here does not reach it; up, or closed to new machines, when it
 *  does; else nothing is known of it between its reports. It is drained when neither a vote nor a machine is on it. */
export function nodeState(node) {
  const member = memberOf(node.id);
  if (!link.live) return "unknown";
  if (member?.reached === false) return "away";
  if (node.state === "draining" && member?.role === "observer" && !node.vms) return "drained";
  if (!["ready", undefined].includes(node.state)) return node.state;
  if (member?.reached === null) return node.state; // as the leader says
  return member || node.name === link.node ? "up" : "unknown";
}

/** A node's shape. */
export const shapeOfNode = (node) => shape(kindOf(nodeState(node)));
