// A list, and beside it the one that is chosen: the list stays in sight.
import { go, here, to } from "../router.js";
import { rowsOf } from "../store.js";
import { h } from "./dom.js";

/** `room`: its place; `list`: a listPage; `detailOf(id, visit)`: {element, show(tab), end()}; `title(row)`: its crumb. */
export function splitPage({ room, title, kind, list, detailOf, rest, nameOf = (row) => row.name }) {
  let detail = null, open = null;
  const element = h("div", { class: "split" }, list.element);

  function visit(...parts) {
    const query = here().query.toString();
    go(to(room, ...parts) + (query ? `?${query}` : ""));
  }

  function show([id = null, part = ""]) {
    if (open !== id) {
      detail?.end();
      detail?.element.remove();
      detail = id === null ? null : detailOf(id, visit);
      if (detail) element.append(detail.element);
    }
    open = id;
    element.classList.toggle("one", id !== null);
    list.table.select(id);
    detail?.show(part);
  }

  show(rest);
  return {
    element, visit, table: list.table, create: list.create,
    crumbs() {
      const row = open !== null && rowsOf(kind).get(open);
      return [[title, to(room)], ...(open === null ? [] : [[row ? nameOf(row) : open, ""]])];
    },
    stay(name, next) {
      if (name !== room || ["new", "upload", "kept"].includes(next[0])) return false;
      list.reread();
      show(next);
      return true;
    },
    close() {
      if (open === null) return;
      visit();
      list.table.grid.focus();
    },
    end() { list.end(); detail?.end(); },
  };
}
