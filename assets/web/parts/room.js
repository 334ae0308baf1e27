// The simple rooms: a list, and beside it the chosen row.
import { number, t } from "../i18n.js";
import { to } from "../router.js";
import { h } from "./dom.js";
import { listPage } from "./list.js";
import { side } from "./side.js";
import { splitPage } from "./split.js";

/** A column of `key`. */
export const column = (key, label, cell, more = {}) => ({ key, label: t(label), value: (row) => row[key], cell, ...more });
/** The column that names the row. */
export const nameColumn = (more = {}) => column("name", "col.name", (row) => row.name, { head: true, class: "name k-name", ...more });

/** `name`: the place; `kind`: of the store; `list`: as listPage; `detail`: as side. `rest`: what the address says. */
export function room({ name, kind, list, detail, rest }) {
  const title = t(`place.${name}`);
  let visit = null;
  const found = listPage({ kind, title, sort: "name", text: (row) => Object.values(row).flat().join(" "), foot: (rows) => [t("rows", { n: number(rows.length) })],
    open: (row) => visit(row.id), address: (row) => to(name, row.id), ...list });
  const page = splitPage({ room: name, title, kind, list: found, rest, detailOf: (id, go) => side({ kind, back: title, ...detail }, id, go) });
  visit = page.visit;
  return page;
}

/** A list that fills the page. */
export function alone(name, list, stay) {
  const title = t(`place.${name}`);
  const page = listPage({ title, ...list });
  return { ...page, element: h("div", { class: "split" }, page.element), crumbs: () => [[title, to(name)]],
    stay(other, rest) {
      if (other !== name || !stay(rest)) return false;
      page.reread();
      return true;
    } };
}
