// What a tree and a grid of machines share: the rows and their places, what glows, and a pointer under which nothing moves.
import { watchCluster } from "../cluster.js";
import { t } from "../i18n.js";
import { watch, watchLink } from "../store.js";
import { h } from "./dom.js";
import { pane } from "./pane.js";
import { orderOf, placesOf, steady } from "./places.js";

/**
 * `body`: what the lines stand in; `columns`, `empty`: as in table; `linesOf(groups, only)`: the lines of a pane; `mark()`:
 * what changes on a line without it being built anew, of the lines in sight.
 */
export function scene({ body, columns, empty, linesOf, mark }) {
  let rows = [], groups = [], sort = null, held = false, loading = true, count = 0;
  const stamps = new WeakMap(), fresh = new Set();
  const none = h("div", { class: "none" }, h("p", { class: "second pad-in" }, t("loading")));
  const self = { only: false, view: pane(body, none, { moved: mark, resized: () => arrange() }), stamp, arrange, show, end, order(next) { sort = next; }, glow: (element, id) => fresh.delete(id) && element.classList.add("changed") };
  body.addEventListener("pointerenter", (event) => { held = event.pointerType === "mouse"; });
  body.addEventListener("pointerleave", () => { if (held) { held = false; arrange(); } });
  body.addEventListener("animationend", (event) => event.target.classList.remove("changed"));

  /** A number that is another one for each version of a row. */
  function stamp(row) {
    if (!stamps.has(row)) stamps.set(row, (count += 1));
    return stamps.get(row);
  }

  /** `still`: nothing moves that a pointer may rest on. */
  function arrange(still = held) {
    if (loading) return;
    const before = new Map(groups.flatMap(({ nodes }) => nodes.map((node) => [node.id, node.vms])));
    groups = placesOf(rows, { order: orderOf(columns, sort), only: self.only });
    if (still) for (const { nodes } of groups) for (const node of nodes) node.vms = steady(node.vms, before.get(node.id) ?? []);
    none.replaceChildren(...(!rows.length && empty ? [empty()] : []));
    self.view.show(linesOf(groups));
  }

  /** As of a table; `filtered`: these are not all. */
  function show(next, changed = null, filtered = false) {
    const still = held && changed !== null && !loading;
    loading = false;
    rows = next;
    self.only = filtered;
    for (const id of changed ?? []) fresh.add(`vm ${id}`);
    arrange(still);
    fresh.clear();
  }

  const later = () => arrange();
  const ends = [watch("nodes", later), watchCluster(later), watchLink((type) => type === "link" && later())];
  function end() {
    ends.forEach((one) => one());
    self.view.end();
  }
  return self;
}

/** A click that is a person's wish to go elsewhere by a link of its own, or to mark text. */
export const notOurs = (event) => Boolean(getSelection()?.toString() || (event.target.closest("a") && (event.ctrlKey || event.metaKey || event.shiftKey)));
