// What is wrong with what one sees, above every page: no connection, or a cluster that cannot agree.
import { knownAt, members, trouble, troubled } from "../cluster.js";
import { clock, duration, t } from "../i18n.js";
import { link } from "../store.js";
import { h, icon, shape } from "./dom.js";

/** Keep `notes` as things are. */
export function notice(notes) {
  const kind = link.lostAt > 0 ? "lost" : trouble() ?? "";
  if (notes.dataset.kind !== kind) {
    notes.dataset.kind = kind;
    notes.replaceChildren(...(kind === "lost" ? [h("div", { class: "age" }, shape("attn"), t("live.lost"), h("span"))] : kind ? [stuck(kind)] : []));
  }
  if (kind === "lost") notes.querySelector("span").textContent = t("live.age", { age: duration((Date.now() - link.lostAt) / 1000) });
  else if (kind) tellStuck(notes, kind);
}

function stuck(kind) {
  const hints = ["byhand.run", "byhand.start", "byhand.read", "byhand.host", "byhand.recover"].map((key) => h("li", { "data-hint": key }));
  return h("details", { class: "stuck", "data-kind": kind }, h("summary", {}, shape("fault"), h("p", { id: "no-quorum" }, h("b"), " ", h("span")), h("span", { class: "end" }, t("byhand"), icon("down"))), h("ul", {}, hints));
}

function tellStuck(notes, kind) {
  const away = members().filter((one) => one.reached === false);
  const texts = { "byhand.run": t("byhand.run"), "byhand.start": away.length ? t("byhand.start", { names: away.map((one) => `${one.name} (${one.address})`).join(", ") }) : t("byhand.wait"), "byhand.read": t("byhand.read"), "byhand.host": t("byhand.host"), "byhand.recover": t("byhand.recover") };
  const put = (place, text) => { if (place.textContent !== text) place.textContent = text; };
  put(notes.querySelector("#no-quorum b"), troubled(kind));
  put(notes.querySelector("#no-quorum span"), t("quorum.known", { time: clock(knownAt()) }));
  for (const line of notes.querySelectorAll("[data-hint]")) put(line, texts[line.dataset.hint]);
}
