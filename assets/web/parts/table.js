// A table that draws only the rows in sight, so that 10,000 scroll like ten. One tab stop; j, k and Enter move.
// While the pointer is over the rows none of them moves: what is new waits at the end, what is gone stays, faded.
import { t } from "../i18n.js";
import { h, icon } from "./dom.js";

const MARGIN = 12;
const ORDER = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

/**
 * `columns`: {key, label, class, value(row), cell(row)}; the one with `head` is the row's header.
 * `sign(row)`: what a row says besides what it is. `open(row)`: a row was chosen. `sort`: {key, down}; `sorted(sort)`: a person chose another.
 */
export function table({ label, columns, open, sort = null, sorted = () => {}, empty = null, address = null, sign = null }) {
  let held = false, rows = [], shown = [], active = -1, selected = null, height = 36, loading = true, frame = 0;
  const fresh = new Set();
  const drawn = new Map();
  const above = spacer(), below = spacer();
  const body = h("tbody", { role: "rowgroup" });
  const heads = columns.map(head);
  const grid = h("table", { class: "table cards", role: "grid", tabindex: "0", "aria-label": label, onkeydown: keys, onfocus: () => active < 0 && step(1) },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row", "aria-rowindex": 1 }, heads)), body);
  const none = h("div", { class: "none" });
  const scroll = h("div", { class: "scroll", onscroll: later }, grid, none);
  body.addEventListener("pointerenter", (event) => { held = event.pointerType === "mouse"; });
  body.addEventListener("pointerleave", () => { if (held) { held = false; arrange(); } });
  new ResizeObserver(() => { measure(); later(); }).observe(scroll);

  function spacer() {
    return h("tr", { class: "spacer", "aria-hidden": "true" }, h("td", { colspan: columns.length }));
  }

  function head(column) {
    const sign = icon("down");
    const button = h("button", { type: "button", tabindex: "-1", onclick: () => choose(column) }, column.label, sign);
    return h("th", { role: "columnheader", scope: "col", class: column.class }, column.value ? button : h("span", { class: "hide" }, column.label));
  }

  function choose(column) {
    sort = { key: column.key, down: sort?.key === column.key && !sort.down };
    sorted(sort);
    arrange();
  }

  /** The rows in the order they have, for a pointer that rests on one of them. */
  function steady() {
    const now = new Map(rows.map((row) => [row.id, row]));
    const before = shown.map((row) => now.get(row.id) ?? { ...row, gone: true });
    const known = new Set(shown.map((row) => row.id));
    return [...before, ...rows.filter((row) => !known.has(row.id))];
  }

  function arrange(still = false) {
    const column = sort && columns.find((one) => one.key === sort.key);
    shown = still ? steady() : [...rows];
    if (column?.value && !still) {
      const sign = sort.down ? -1 : 1;
      shown.sort((a, b) => sign * compare(column.value(a), column.value(b)));
    }
    columns.forEach((one, n) => {
      const on = one === column;
      if (on) heads[n].setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else heads[n].removeAttribute("aria-sort");
    });
    active = selected === null ? Math.min(active, shown.length - 1) : shown.findIndex((row) => row.id === selected);
    grid.setAttribute("aria-rowcount", String(shown.length + 1));
    none.replaceChildren(...(shown.length || loading || !empty ? [] : [empty()]));
    draw();
  }

  function measure() {
    const row = body.querySelector("tr[data-id]");
    if (row) height = row.getBoundingClientRect().height || height;
  }

  function later() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(draw);
  }

  function draw() {
    if (loading) return body.replaceChildren(...bones());
    const from = Math.max(0, Math.floor(scroll.scrollTop / height) - MARGIN);
    const until = Math.min(shown.length, Math.ceil((scroll.scrollTop + (scroll.clientHeight || 800)) / height) + MARGIN);
    above.firstChild.style.setProperty("height", `${from * height}px`);
    below.firstChild.style.setProperty("height", `${(shown.length - until) * height}px`);
    const wanted = shown.slice(from, until).map((row, n) => element(row, from + n));
    const keep = new Set(wanted.map((tr) => tr.dataset.id));
    for (const id of [...drawn.keys()]) if (!keep.has(id)) drawn.delete(id);
    const parts = [from ? above : null, ...wanted, until < shown.length ? below : null].filter(Boolean);
    // Nodes that stay are not moved: a moved one would lose focus and glow again.
    for (const child of [...body.children]) if (!parts.includes(child)) child.remove();
    parts.forEach((part, n) => { if (body.children[n] !== part) body.insertBefore(part, body.children[n] ?? null); });
    const at = shown[active];
    if (at && drawn.has(at.id)) grid.setAttribute("aria-activedescendant", drawn.get(at.id).tr.id);
    else grid.removeAttribute("aria-activedescendant");
  }

  function element(row, n) {
    let kept = drawn.get(row.id);
    const said = sign?.(row);
    if (kept?.row !== row || kept.said !== said) {
      kept = { row, said, tr: line(row) };
      drawn.set(row.id, kept);
    }
    kept.tr.setAttribute("aria-rowindex", String(n + 2));
    kept.tr.setAttribute("aria-selected", String(row.id === selected));
    kept.tr.classList.toggle("active", n === active);
    if (fresh.delete(row.id)) kept.tr.classList.add("changed");
    return kept.tr;
  }

  function line(row) {
    const tr = h("tr", { role: "row", class: row.gone ? "gone" : null, id: `row-${row.id}`, "data-id": row.id, onclick: (event) => pick(event, row),
      onanimationend: () => tr.classList.remove("changed") },
    columns.map((column) => column.head
      ? h("th", { role: "rowheader", scope: "row", class: column.class }, address ? h("a", { href: address(row), tabindex: "-1" }, column.cell(row)) : column.cell(row))
      : h("td", { role: "gridcell", class: column.class }, column.cell(row))));
    return tr;
  }

  function pick(event, row) {
    if (event.target.closest("button") || !open || row.gone) return;
    if (event.target.closest("a") && (event.ctrlKey || event.metaKey || event.shiftKey)) return;
    if (getSelection()?.toString()) return;
    event.preventDefault();
    active = shown.indexOf(row);
    open?.(row);
    later();
  }

  function step(by) {
    if (!shown.length) return;
    active = Math.max(0, Math.min(shown.length - 1, active + by));
    const top = active * height, seen = scroll.clientHeight - 32;
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    else if (top + height > scroll.scrollTop + seen) scroll.scrollTop = top + height - seen;
    draw();
  }

  function keys(event) {
    const move = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -shown.length, End: shown.length }[event.key];
    if (move) { event.preventDefault(); step(move); }
    if (event.key === "Enter" && event.target === grid && shown[active]) open?.(shown[active]);
  }

  function bones() {
    return Array.from({ length: 8 }, (_, n) => h("tr", { role: "row", class: "waiting" }, columns.map((column) =>
      h(column.head ? "th" : "td", { class: column.class, role: column.head ? "rowheader" : "gridcell" }, h("span", { class: `bone w${4 + ((n + column.key.length) % 3) * 4}` }, h("span", { class: "hide" }, t("loading")))))));
  }

  draw();
  return {
    element: scroll, grid, step,
    open: () => shown[active] && open?.(shown[active]),
    /** Sort by {key, down}; drawn with the next rows. */
    order(next) { sort = next; },
    /** Show these rows; those in `changed` glow once. Without `changed` a person asked for them. */
    show(next, changed = null) {
      const first = loading;
      loading = false;
      rows = next;
      for (const id of changed ?? []) fresh.add(id);
      arrange(held && changed !== null && !first);
      const before = height;
      measure();
      if (before !== height) draw();
      fresh.clear();
    },
    /** Mark a row as the one whose detail is open. */
    select(id) {
      selected = id;
      if (id !== null) active = shown.findIndex((row) => row.id === id);
      draw();
    },
  };
}

/** Which of two values comes first: numbers by size, texts as people sort them. */
export function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return ORDER.compare(String(a ?? ""), String(b ?? ""));
}
