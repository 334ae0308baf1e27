// Operations and events: the newest first.
import { ago, duration, moment, number, refusal, t } from "../i18n.js";
import { h } from "../parts/dom.js";
import { sentence } from "../parts/drawer.js";
import { empty } from "../parts/empty.js";
import { listPage } from "../parts/list.js";
import { eventSays, stepOf, textOf, told } from "../parts/said.js";
import { stateMark, wordOf } from "../parts/state.js";
import { go, to } from "../router.js";

const time = (text) => h("time", { datetime: text, title: moment(text) }, ago(text));
const stateOf = (operation) => (operation.state === "running" ? "working" : operation.state);

function took(operation) {
  const end = operation.finished_at ? Date.parse(operation.finished_at) : Date.now();
  return (end - Date.parse(operation.created_at)) / 1000;
}

// Why it failed, or what it is doing; what is done says nothing more.
const saying = (one) => (one.problem ? refusal(one.problem) : one.state === "running" ? stepOf(one) : "");
const saidOf = (one) => (one.problem ? h("span", { class: "bad", title: refusal(one.problem) }, refusal(one.problem)) : one.state === "running" ? told(one.step_said, one.step) : "");

function page(name, options) {
  const title = t(`place.${name}`);
  const list = listPage({ kind: name, title, foot: (rows) => (rows.length ? [t("rows.newest", { n: number(rows.length) })] : []), empty: () => empty(t(`empty.${name}`), t(`empty.${name}.say`)),
    open: (row) => row.noun === "vm" && row.subject_id && go(to("machines", row.subject_id)), ...options });
  return { ...list, element: h("div", { class: "split alone" }, list.element), crumbs: () => [[title, to(name)]], stay: (other) => other === name };
}

/** Operations. */
export const operations = () => page("operations", {
  sort: "started.down", text: (one) => `${sentence(one)} ${one.node} ${one.actor} ${one.problem ? refusal(one.problem) : ""}`,
  views: [{ id: "all", label: t("view.all"), keep: () => true }, { id: "running", label: t("view.active"), keep: (one) => one.state === "running" }, { id: "failed", label: t("view.failed"), keep: (one) => one.state === "failed" }],
  columns: [
    { key: "state", label: t("col.state"), class: "k-state", value: (one) => wordOf(stateOf(one)), cell: (one) => stateMark(stateOf(one)) },
    { key: "what", label: t("col.what"), class: "name k-name", head: true, value: sentence, cell: sentence },
    { key: "say", label: t("col.say"), class: "k-a wide", value: saying, cell: saidOf },
    { key: "node", label: t("col.node"), class: "p3", value: (one) => one.node, cell: (one) => one.node },
    { key: "actor", label: t("col.actor"), class: "p2", value: (one) => one.actor, cell: (one) => one.actor },
    { key: "took", label: t("col.took"), class: "num p2", value: took, cell: (one) => duration(took(one)) },
    { key: "started", label: t("col.started"), class: "num k-b", value: (one) => one.created_at, cell: (one) => time(one.created_at) },
  ],
});

/** Events. */
export const events = () => page("events", {
  sort: "at.down", text: (one) => `${textOf(one)} ${one.kind} ${one.actor} ${one.why}`,
  columns: [
    { key: "at", label: t("col.at"), class: "k-state", value: (one) => one.index, cell: (one) => time(one.at) },
    { key: "text", label: t("col.what"), class: "name k-name", head: true, value: textOf, cell: eventSays },
    { key: "kind", label: t("col.kind"), class: "k-b p2", value: (one) => one.kind, cell: (one) => h("code", {}, one.kind) },
    { key: "actor", label: t("col.actor"), class: "k-a", value: (one) => one.actor, cell: (one) => one.actor },
    { key: "why", label: t("col.why"), class: "p3", value: (one) => one.why, cell: (one) => one.why },
    { key: "index", label: t("col.index"), class: "num p2", value: (one) => one.index, cell: (one) => number(one.index) },
  ],
});
