// Networks: bridges, and who has which address on them.
import { may } from "../access.js";
import { number, t } from "../i18n.js";
import { h } from "../parts/dom.js";
import { empty } from "../parts/empty.js";
import { gate } from "../parts/gate.js";
import { column, nameColumn, room } from "../parts/room.js";
import { fact, section, time } from "../parts/side.js";
import { to } from "../router.js";
import { rowsOf } from "../store.js";
import { removeNetwork } from "./remove.js";

function lease(one) {
  return h("li", {}, h("span", { class: "num" }, one.address), h("a", { class: "strong clip", href: to("machines", one.vm_id) }, one.vm), h("span", { class: "muted mono hide-n" }, one.mac), h("span", { class: "end" }, time(one.since)));
}

function body(net) {
  const leases = [...rowsOf("leases").values()].filter((one) => one.network === net.name);
  return [
    h("dl", { class: "facts" }, fact(t("col.kind"), t(`option.${net.kind}`)), fact(t("col.bridge"), net.bridge), fact(t("col.range"), net.cidr, net.range_start && `${net.range_start} – ${net.range_end}`),
      fact(t("col.gateway"), net.gateway), fact(t("field.dns"), (net.dns ?? []).join(", ")), fact(t("field.mtu"), net.mtu), net.cidr && fact(t("col.free"), number(net.free)), fact(t("fact.id"), h("span", { class: "mono" }, net.id))),
    section(t("net.leases"), leases.map(lease), t(net.cidr ? "net.no-leases" : "net.unmanaged")),
  ];
}

/** The page. */
export const networks = (rest) => room({
  name: "network", kind: "networks", rest,
  list: {
    empty: () => empty(t("empty.networks"), t("empty.networks.say"), t("network.create"), to("network", "new")),
    create: { text: t("network.create"), short: t("create"), address: to("network", "new") },
    columns: [
      nameColumn(), column("kind", "col.kind", (net) => t(`kind.${net.kind}`), { class: "k-state" }),
      column("cidr", "col.range", (net) => net.cidr || "–", { class: "k-a" }), column("gateway", "col.gateway", (net) => net.gateway || "–"),
      column("bridge", "col.bridge", (net) => net.bridge, { class: "p2" }),
      column("leased", "col.leased", (net) => number(net.leased), { class: "num" }), column("free", "col.free", (net) => (net.cidr ? number(net.free) : "–"), { class: "num k-b" }),
    ],
  },
  detail: {
    also: ["leases"], say: (net) => [t(`kind.${net.kind}`), net.cidr].filter(Boolean).join(" · "),
    deeds: (net, visit) => [may("vm.create") && h("a", { class: "btn low", href: `${to("machines", "new")}?network=${encodeURIComponent(net.name)}` }, t("vm.create")), gate(h("button", { type: "button", class: "btn low danger", onclick: () => removeNetwork(net, visit) }, t("delete")), "network.delete")],
    body,
  },
});
