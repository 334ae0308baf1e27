// A state: always a shape and a word. The word says what it is, not how bad.
import { known } from "../i18n.js";
import { h, shape } from "./dom.js";

const KINDS = {
  running: "run", ready: "run", done: "run", up: "run", live: "run",
  stopped: "stop", foreign: "stop",
  building: "work", starting: "work", stopping: "work", destroying: "work", pulling: "work", working: "work",
  paused: "attn", lost: "attn", unsigned: "attn",
  crashed: "fault", failed: "fault",
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
