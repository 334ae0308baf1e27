// A state: always a shape and a word. The word says what it is, not how bad.
import { known } from "../i18n.js";
import { link } from "../store.js";
import { h, shape } from "./dom.js";

const KINDS = {
  running: "run",
  ready: "ok", done: "ok", up: "ok", healthy: "ok", active: "ok",
  stopped: "stop", foreign: "stop", disabled: "stop", revoked: "stop", expired: "stop", kept: "stop",
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

/** Up when it is the node that answers here; nothing else is known of a node between its reports. */
export const nodeState = (node) => (link.live && node.name === link.node ? "up" : "unknown");

/** A node's shape. */
export const shapeOfNode = (node) => shape(kindOf(nodeState(node)));
