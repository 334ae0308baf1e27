// Images: what machines start from.
import { may } from "../access.js";
import { bytes, number, refusal, t } from "../i18n.js";
import { h } from "../parts/dom.js";
import { empty } from "../parts/empty.js";
import { gate } from "../parts/gate.js";
import { column, nameColumn, room } from "../parts/room.js";
import { fact, section, time } from "../parts/side.js";
import { stateMark } from "../parts/state.js";
import { to } from "../router.js";
import { rowsOf } from "../store.js";
import { removeImage } from "./remove.js";

const stateOf = (image) => (image.problem ? "failed" : image.state);
/** Machines whose first disk came from this image. */
export const usersOf = (image) => [...rowsOf("vms").values()].filter((vm) => vm.image === image.name);

function body(image) {
  const users = usersOf(image);
  return [
    image.problem && h("div", { class: "verdict fault" }, h("p", {}, h("b", {}, refusal(image.problem)))),
    h("dl", { class: "facts" }, fact(t("col.version"), image.version), fact(t("col.signature"), image.signed ? t("signed") : stateMark("unsigned")), fact(t("col.format"), image.format),
      fact(t("col.size"), bytes(image.size_bytes)), fact(t("fact.grows"), `${number(image.virtual_gb)} GiB`), fact(t("fact.firmware"), image.firmware?.toUpperCase()), fact(t("col.source"), image.source),
      fact("SHA-256", h("span", { class: "mono" }, image.sha256)), fact(t("fact.created"), time(image.created_at)), fact(t("fact.id"), h("span", { class: "mono" }, image.id))),
    section(t("image.users"), users.slice(0, 50).map((vm) => h("li", {}, stateMark(vm.state), h("a", { class: "strong clip", href: to("machines", vm.id) }, vm.name), h("span", { class: "end" }, vm.node))), t("image.unused")),
  ];
}

/** The page. */
export const images = (rest) => room({
  name: "images", kind: "images", rest,
  list: {
    empty: () => empty(t("empty.images"), t("empty.images.say"), t("image.pull"), to("images", "new"), t("image.upload"), to("images", "upload")),
    create: { text: t("image.pull"), short: t("pull"), address: to("images", "new") },
    also: { text: t("image.upload"), short: t("upload"), address: to("images", "upload") },
    columns: [
      column("state", "col.state", (image) => stateMark(stateOf(image)), { class: "k-state", value: stateOf }), nameColumn(),
      column("version", "col.version", (image) => image.version, { class: "k-a" }),
      column("signed", "col.signature", (image) => (image.signed ? t("signed") : stateMark("unsigned")), { class: "p2" }),
      column("size_bytes", "col.size", (image) => bytes(image.size_bytes), { class: "num k-b" }),
      column("virtual_gb", "col.disk", (image) => `${number(image.virtual_gb)} GiB`, { class: "num" }),
      { key: "users", label: t("image.users"), class: "num p2", value: (image) => usersOf(image).length, cell: (image) => number(usersOf(image).length) },
      column("source", "col.source", (image) => (image.problem ? refusal(image.problem) : image.source), { class: "p4" }),
    ],
  },
  detail: {
    also: ["vms"], state: stateOf, say: (image) => image.version,
    deeds: (image, visit) => [may("vm.create") && h("a", { class: "btn low", href: `${to("machines", "new")}?image=${encodeURIComponent(image.name)}` }, t("vm.create")), gate(h("button", { type: "button", class: "btn low danger", onclick: () => removeImage(image, visit) }, t("delete")), "image.delete")],
    body,
  },
});
