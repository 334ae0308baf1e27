// Tokens to join with that could still let somebody in: who made them, and taking one back. The token itself is shown once,
// when it is made.
import { may } from "../access.js";
import { get, send } from "../api.js";
import { number, t } from "../i18n.js";
import { watchLink } from "../store.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { time } from "./side.js";
import { toast } from "./toast.js";

const PATH = "/v1/membership/tokens";

function revoke({ id }, then) {
  const path = `${PATH}/${encodeURIComponent(id)}`;
  ask({ title: t("invited.title", { id }), danger: true, button: t("invited.do"), same: { line: `girginosvm membership token revoke ${id}`, method: "DELETE", path }, body: [h("p", {}, t("invited.say"))],
    async deed() {
      await send("DELETE", path);
      toast(t("invited.said", { id }));
      then();
    } });
}

const line = (one, then) => h("li", {}, h("div", { class: "grow" }, h("b", { class: "strong mono" }, one.id), h("p", { class: "muted" }, one.created_by, " · ", t("token.until", { when: "" }), time(one.expires_at))),
  h("span", { class: "end" }, h("button", { type: "button", class: "btn low", "aria-label": t("revoke.of", { name: one.id }), onclick: () => revoke(one, then) }, t("revoke"))));

/** The section, hidden while there are none; and how to stop following them. */
export function invited() {
  const element = h("section", { class: "sec invited", hidden: true });
  async function draw() {
    if (!may("membership.token")) return;
    const found = await get(`${PATH}?filter=state%3Dactive`).catch(() => null);
    if (!found) return;
    element.hidden = !found.items.length;
    element.replaceChildren(h("div", { class: "sec-head" }, h("h2", {}, t("invited")), h("span", {}, number(found.items.length))), h("ul", { class: "lines" }, found.items.map((one) => line(one, draw))));
  }
  const stop = watchLink((type, data) => { if (type === "link" || data.tables.includes("join_token") || data.tables.includes("member")) draw(); });
  const clock = setInterval(draw, 60_000); // they run out by themselves
  draw();
  return { element, end() { stop(); clearInterval(clock); } };
}
