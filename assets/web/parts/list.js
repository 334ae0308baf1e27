// A list's page: title, views, filter, table, foot. What is typed stays in the address.
import { mayOpen } from "../access.js";
import { number, t } from "../i18n.js";
import { here, keepsake, remember } from "../router.js";
import { rowsOf, stateOf, watch } from "../store.js";
import { h, icon, shape } from "./dom.js";
import { menu } from "./menu.js";
import { table } from "./table.js";

/**
 * `kind`: of the store; `columns`, `open`, `address`, `empty` as in table; `text(row)`: what the filter searches;
 * `views`: [{id, label, keep(row)}]; `chips`: [{id, label, value(row), word(value)}]; `foot(rows)`: texts;
 * `create`, `also`: {text, short, address}; `links`: [{text, address, count, on}] to lists beside this one;
 * `watches`, `sign`: what else makes rows another: [(heard) => stop], and as in table;
 * `layouts`: [{id, label, icon, make}] when rows can be seen in other ways than as a table, which is the first.
 */
export function listPage({ kind, title, columns, open, address, empty, text, views = [], chips = [], links = [], layouts = [], watches = [], sign, foot, create: make, also: extra, sort }) {
  const [create, also] = [make, extra].map((one) => (one && mayOpen(one.address) ? one : null));
  const chosen = {};
  let view = "", wanted = "", read = null, order = null, layout = null, body = null, selected = null;
  const filtered = () => Boolean(wanted || Object.values(chosen).some(Boolean) || view !== views[0]?.id);
  const options = { label: title, columns, open, address, sign, empty: () => (filtered() ? nothing() : empty()), sorted: sortBy };
  const place = h("div", { class: "place-of-rows" });
  const switcher = layouts.length > 0 && h("div", { class: "switch", role: "group", "aria-label": t("layouts") }, layouts.map((one) =>
    h("button", { type: "button", "data-layout": one.id, title: one.label, onclick: () => choose(one) }, icon(one.icon), h("span", {}, one.label))));
  // What the page asks of its rows, whichever way they are seen.
  const face = { get grid() { return body.grid; }, step: (by) => body.step(by), open: () => body.open(), select(id) { selected = id; body.select(id); } };
  const field = h("input", { class: "in", type: "search", placeholder: t(kind === "vms" ? "filter.hint" : "keys.search"), "aria-label": t("filter"), oninput: () => { wanted = field.value; keep({ q: wanted }); draw(); }, onkeydown: (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") { event.preventDefault(); body.grid.focus(); }
  } });
  const tabs = h("nav", { class: "views tabs", "aria-label": t("views") });
  const filters = h("div", { class: "filters" });
  const end = h("p", { class: "foot" });
  const wrong = h("div", { class: "banner fault", role: "alert", hidden: true });
  const says = h("span", { class: "hide", "aria-live": "polite" });
  const button = create && [also && h("a", { class: "btn low", href: also.address }, also.text), h("a", { class: "btn low primary", href: create.address }, icon("plus"), create.text)];
  const beside = h("nav", { class: "views tabs", "aria-label": t("views") });
  const element = h("section", { class: "list", "aria-label": title },
    h("div", { class: "title" }, h("h1", {}, title), h("div", { class: "btns" }, button)), wrong, views.length > 0 && tabs, links.length > 0 && beside,
    h("div", { class: "tools-row" }, h("label", { class: "field-find" }, icon("search"), field), filters, switcher, also && h("a", { class: "btn low only-narrow", href: also.address }, also.short), create && h("a", { class: "btn low primary only-narrow", href: create.address }, create.short)),
    place, end, says);

  function nothing() {
    return h("div", { class: "empty" }, h("h2", {}, t("empty.filter")), h("p", {}, t("empty.filter.say")),
      h("button", { class: "btn low", type: "button", onclick: clear }, t("filter.clear")));
  }

  /** See the rows in another way, and again the next time. */
  function choose(one) {
    keepsake(`view.${kind}`, one.id);
    keep({ view: one.id });
    see(one);
    draw();
  }

  function see(one) {
    if (one === layout && body) return;
    layout = one;
    body?.end?.();
    body = (one?.make ?? table)(options);
    body.order(order);
    if (selected !== null) body.select(selected);
    place.replaceChildren(body.element);
    for (const button of switcher ? switcher.children : []) button.setAttribute("aria-pressed", String(button.dataset.layout === one.id));
  }

  function sortBy(next) {
    order = next;
    const text = `${next.key}${next.down ? ".down" : ""}`;
    keep({ sort: text === sort ? "" : text });
  }

  /** Take layout, view, filter, chips and order from the address; draws when one of them is another. */
  function reread() {
    const { query } = here();
    if (read === query.toString()) return;
    const first = read === null;
    read = query.toString();
    // Old addresses have what to show under the name that now says in which way.
    const show = query.get("show") ?? query.get("view");
    view = views.some((one) => one.id === show) ? show : views[0]?.id;
    const way = layouts.find((one) => one.id === query.get("view")) ?? layouts.find((one) => one.id === keepsake(`view.${kind}`)) ?? layouts[0] ?? null;
    wanted = query.get("q") ?? "";
    if (field.value !== wanted) field.value = wanted;
    for (const { id } of chips) chosen[id] = query.get(id) ?? "";
    const [key, down] = (query.get("sort") ?? sort ?? "").split(".");
    order = key ? { key, down: down === "down" } : null;
    see(way);
    body.order(order);
    // What is remembered stands in the address too: it can be sent to a colleague.
    if (way && way !== layouts[0] && query.get("view") !== way.id) keep(show === query.get("view") && view !== views[0]?.id ? { view: way.id, show: view } : { view: way.id });
    if (!first) draw();
  }

  function keep(values) {
    remember(values);
    read = here().query.toString();
  }

  function clear() {
    wanted = field.value = "";
    view = views[0]?.id;
    for (const id of Object.keys(chosen)) chosen[id] = "";
    keep({ q: "", show: "", ...chosen });
    draw();
    field.focus();
  }

  function draw(changed) {
    const all = [...rowsOf(kind).values()];
    const { loaded, problem } = stateOf(kind);
    wrong.hidden = !problem;
    wrong.replaceChildren(problem ? shape("fault") : "", h("p", {}, problem?.message ?? ""));
    if (!loaded) return;
    drawTabs(all);
    drawChips(all);
    const low = wanted.trim().toLowerCase();
    const keep = views.find((one) => one.id === view)?.keep ?? (() => true);
    const rows = all.filter((row) => keep(row) && chips.every((chip) => !chosen[chip.id] || String(chip.value(row)) === chosen[chip.id]) && (!low || text(row).toLowerCase().includes(low)));
    body.show(rows, changed, filtered());
    drawLinks();
    end.replaceChildren(...foot(rows).map((one) => h("span", {}, one)), h("span", { class: "end" }, h("kbd", {}, "j"), " ", h("kbd", {}, "k"), ` ${t("keys.move")}`));
    if (wanted) says.textContent = t("filter.found", { n: number(rows.length) });
  }

  function drawTabs(all) {
    const counts = views.map((one) => all.filter(one.keep).length);
    const sign = JSON.stringify([counts, view]);
    if (tabs.dataset.sign === sign) return;
    tabs.dataset.sign = sign;
    tabs.replaceChildren(...views.map((one, n) => h("button", { type: "button", class: "tab", "aria-current": one.id === view ? "true" : null, onclick: () => {
      view = one.id;
      keep({ show: n ? view : "" });
      draw();
      tabs.children[n].focus();
    } }, one.label, h("span", { class: "count" }, number(counts[n])))));
  }

  function drawLinks() {
    const counts = links.map(({ count }) => rowsOf(count).size);
    if (!links.length || beside.dataset.sign === String(counts)) return;
    beside.dataset.sign = String(counts);
    beside.replaceChildren(...links.map((one, n) => h("a", { class: "tab", href: one.address, "aria-current": one.on ? "page" : null }, one.text, h("span", { class: "count" }, number(counts[n])))));
  }

  function drawChips(all) {
    const values = chips.map((chip) => [...new Set(all.map((row) => String(chip.value(row) ?? "")).filter(Boolean))].sort());
    const sign = JSON.stringify([values, chosen, layout?.id, order]);
    if (filters.dataset.sign === sign) return;
    filters.dataset.sign = sign;
    filters.replaceChildren(...chips.flatMap((chip, n) => chipOf(chip, values[n])), ...(layout?.make ? sorter() : []));
  }

  /** Without a table's head the order is chosen here; the same again turns it round. */
  function sorter() {
    const now = columns.find((one) => one.key === order?.key) ?? columns[0];
    const button = h("button", { type: "button", class: "chip" }, icon("down"), t("sort.by", { name: now.label }), order?.down && h("span", { class: "hide" }, t("sort.down")));
    button.classList.toggle("rising", !order?.down);
    return menu(button, t("sort"), columns.filter((one) => one.value).map((one) => ({ text: one.label, on: one === now, deed: () => {
      sortBy({ key: one.key, down: one === now && !order?.down });
      body.order(order);
      draw();
    } })));
  }

  function chipOf(chip, values) {
    const on = chosen[chip.id];
    const set = (value) => { chosen[chip.id] = value; keep({ [chip.id]: value }); draw(); };
    const button = h("button", { type: "button", class: on ? "chip on" : "chip" }, icon(on ? "filter" : "plus"), on ? `${chip.label}: ${chip.word(on)}` : chip.label);
    return menu(button, chip.label, [...values.map((value) => ({ text: chip.word(value), on: value === on, deed: () => set(value === on ? "" : value) })),
      ...(on ? [null, { text: t("filter.any"), icon: "x", deed: () => set("") }] : [])]);
  }

  reread();
  const stops = [watch(kind, draw), ...watches.map((one) => one(() => draw(new Set()))), ...links.filter(({ count }) => count !== kind).map(({ count }) => watch(count, drawLinks))];
  draw();
  drawLinks();
  return { element, table: face, reread, end() { stops.forEach((stop) => stop()); body.end?.(); }, create: create?.address };
}
