// This node joins another cluster: first what it brings and what stands against it, then the deed.
import { mayOpen } from "../access.js";
import { get, newKey, send } from "../api.js";
import { alone, members, watchCluster } from "../cluster.js";
import { number, t } from "../i18n.js";
import { complaint } from "../parts/dialog.js";
import { h, icon, shape } from "../parts/dom.js";
import { empty } from "../parts/empty.js";
import { form } from "../parts/form.js";
import { gate } from "../parts/gate.js";
import { fact } from "../parts/side.js";
import { twins } from "../parts/twins.js";
import { go, to } from "../router.js";
import { link } from "../store.js";

/** What the rehearsal found. */
function found(said) {
  const against = said.conflicts.length > 0;
  return h("section", { class: "sec found", "aria-live": "polite" }, h("div", { class: "sec-head" }, h("h2", {}, t("join.found"))),
    h("div", { class: `verdict ${against ? "fault" : ""}` }, shape(against ? "fault" : "ok"), h("p", {}, h("b", {}, t(against ? "join.against" : "join.free")))),
    against && h("ul", { class: "against" }, said.conflicts.map((one) => h("li", {}, one))),
    h("dl", { class: "facts pad" }, fact(t("join.into"), h("span", { class: "mono" }, said.cluster), t(said.nodes === 1 ? "nodes.one" : "nodes.n", { n: number(said.nodes) })),
      fact(t("join.brings"), said.brings || t("join.brings.nothing")), fact(t("join.stays"), t("join.stays.say"), said.archive)),
    !against && h("p", { class: "note" }, t("join.signs-out")));
}

/** The page; `witness`: this host only votes there. It has nothing to bring, so there is nothing to look at first. */
export function join(witness = false) {
  const body = h("div", {}, h("p", { class: "second" }, t("loading")));
  const element = h("div", { class: "page" }, h("div", { class: "head" }, h("h1", { class: "same" }, t(witness ? "witness.join.title" : "join.title")), h("p", { class: "say" }, t(witness ? "witness.join.say" : "join.say", { node: link.node }))), body);
  let sheet = null;
  function draw() {
    if (!members().length || sheet) return;
    if (!alone()) return body.replaceChildren(empty(t("join.not-alone"), t("join.not-alone.say"), t("place.cluster"), to("cluster")));
    sheet = true;
    if (!mayOpen(to("cluster", "join"))) return body.replaceChildren(empty(t("form.not-yours"), t("form.not-yours.say"), t("place.cluster"), to("cluster")));
    get("/v1/schema").then(({ JoinCluster, AddWitness }) => (witness ? fill(body, AddWitness, true) : fill(body, JoinCluster))).catch((problem) => body.replaceChildren(h("p", { class: "err", role: "alert" }, problem.message)));
  }
  const end = watchCluster(draw);
  draw();
  return { element, crumbs: () => [[t("place.cluster"), to("cluster")], [t("join.short"), ""]], close: () => go(to("cluster")), end };
}

function fill(body, { schema, method, path, cli, positionals }, straight = false) {
  const wrong = complaint();
  const result = h("div");
  const pair = twins({ method, path, cli, positionals });
  const [begin, first] = straight ? ["join.do", "join.now"] : ["join.look", "join.first"];
  const say = h("p", { class: "say", role: "status" }, t(first));
  const last = gate(h("button", { type: "submit", class: "btn primary" }, t(begin)));
  let key = newKey(), ready = straight;
  let sheet = null;
  sheet = form(schema, { groups: ["join"], without: ["confirm", "rehearse"], changed: () => sheet && stale() });
  body.replaceChildren(h("form", { novalidate: true, onsubmit: submit }, wrong.box, sheet.element, result, pair.element,
    h("div", { class: "form-foot" }, say, h("div", { class: "btns" }, h("a", { class: "btn", href: to("cluster") }, t("cancel")), last))));
  stale();
  sheet.focus();

  /** What was found belongs to another address or token. */
  function stale() {
    ready = straight;
    result.replaceChildren();
    last.textContent = t(begin);
    say.textContent = t(first);
    tell();
  }

  function said() {
    return { ...sheet.values(), ...(straight ? {} : { [ready ? "confirm" : "rehearse"]: true }) };
  }

  function tell() {
    pair.show(said(), sheet.schemas, key);
  }

  async function submit(event) {
    event.preventDefault();
    wrong.clear();
    last.disabled = true;
    say.textContent = t(ready ? "join.joining" : "join.looking");
    try {
      const answer = await send(method, path, said(), key);
      if (ready) return joined(body, answer);
      sheet.faults([]);
      result.replaceChildren(found(answer));
      ready = !answer.conflicts.length;
      last.textContent = t(ready ? "join.do" : "join.look");
      say.textContent = t(ready ? "join.now" : "join.first");
      result.scrollIntoView({ block: "nearest" });
    } catch (problem) {
      say.textContent = t(first);
      if (!sheet.faults(problem.faults)) wrong.show(problem);
      body.closest("main")?.scrollTo(0, 0);
    }
    key = newKey();
    tell();
    last.disabled = false;
  }
}

/** It begins again as a member: until then nothing answers, and people sign in with what they have in the other one. */
function joined(body, { cluster }) {
  const steps = ["join.step.in", "join.step.again", "join.step.sign"].map((key) => h("li", {}, icon("check"), t(key)));
  body.replaceChildren(h("div", { class: "empty", role: "status" }, h("h2", {}, t("join.done")), h("ol", { class: "steps" }, steps), h("p", { class: "mono muted" }, cluster)));
}
