// Running work at the foot of every page, and why what failed has failed.
import { ago, duration, known, refusal, t } from "../i18n.js";
import { rowsOf, watch } from "../store.js";
import { h, icon, shape, svg } from "./dom.js";
import { stepOf, told } from "./said.js";
import { kindOf } from "./state.js";

const HOUR_MS = 3_600_000;

/** What an operation does, as a sentence: "Start web01". */
export function sentence(operation) {
  const words = known(`op.${operation.kind}`);
  const name = operation.subject_name || operation.subject_id;
  return words ? words.replace("{name}", name) : `${operation.kind} ${name}`;
}

function meter(operation) {
  const share = operation.state === "done" ? 100 : operation.progress ?? (operation.state === "failed" ? 100 : 0);
  const kind = { done: "ok", failed: "bad" }[operation.state] ?? "done";
  if (operation.state === "running" && operation.progress === null) return h("span", { class: "muted clip" }, told(operation.step_said, operation.step));
  return svg("svg", { class: "meter", role: "img", "aria-label": t("percent", { n: share }) },
    svg("rect", { class: "track", width: "100%", height: 4 }), svg("rect", { class: kind, width: `${share}%`, height: 4 }));
}

/** An operation with its steps and its reason. */
export function operationLine(operation) {
  const end = operation.finished_at ? Date.parse(operation.finished_at) : Date.now();
  const kind = kindOf(operation.state === "running" ? "working" : operation.state);
  const steps = (operation.steps ?? []).map((step) => h("li", { class: "op step" },
    h("span", { class: "what" }, shape(kindOf(step.state === "running" ? "working" : step.state)), h("span", { class: "clip" }, step.text ?? step.step ?? step.name))));
  return [h("li", { class: "op" },
    h("span", { class: "what" }, shape(kind), h("span", { class: "clip" }, h("b", {}, sentence(operation)), operation.node && ` ${t("on-node", { node: operation.node })}`)),
    meter(operation),
    h("time", { class: "hide-n", title: operation.created_at }, operation.finished_at ? ago(operation.finished_at) : duration((end - Date.parse(operation.created_at)) / 1000)),
    h("span", { class: "hide-n clip by" }, operation.actor),
    operation.problem && h("p", { class: "why" }, refusal(operation.problem))), ...steps];
}

/** The drawer; lives as long as the frame. */
export function drawer() {
  const head = h("summary");
  const list = h("ul", { class: "ops" });
  const fold = h("details", { class: "drawer" }, head, list);
  const draw = () => {
    const all = [...rowsOf("operations").values()];
    const running = all.filter((one) => one.state === "running");
    const recent = all.filter((one) => one.finished_at && Date.now() - Date.parse(one.finished_at) < HOUR_MS);
    const failed = recent.filter((one) => one.state === "failed");
    head.replaceChildren(icon("operations"), h("span", {}, h("b", {}, running.length ? t("ops.running", { n: running.length }) : t("ops.none"))),
      h("span", { class: "hide-n clip" }, running[0] ? `${sentence(running[0])}${running[0].step ? `, ${stepOf(running[0])}` : ""}` : ""),
      h("span", { class: "end" }, failed.length > 0 && h("span", { class: "state fault" }, shape("fault"), t("ops.failed", { n: failed.length })),
        failed.length > 0 && h("span", { class: "hide-n" }, t("ops.hour")), icon("down")));
    const lines = [...running, ...failed, ...recent.filter((one) => one.state === "done")].slice(0, 30);
    list.replaceChildren(...(lines.length ? lines.flatMap(operationLine) : [h("li", { class: "op" }, h("span", { class: "muted" }, t("ops.quiet")))]));
  };
  const clock = setInterval(() => fold.open && draw(), 1000);
  const end = watch("operations", draw);
  draw();
  return { element: h("aside", { class: "dock", "aria-label": t("place.operations") }, fold), end() { end(); clearInterval(clock); } };
}
