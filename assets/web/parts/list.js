// A list's page: title, views, filter, table, foot. What is typed stays in the address.
import { number, t } from "../i18n.js";
import { here, remember } from "../router.js";
import { rowsOf, stateOf, watch } from "../store.js";
import { h, icon, shape } from "./dom.js";
import { menu } from "./menu.js";
import { table } from "./table.js";

/**
 * `kind`: of the store; `columns`, `open`, `address`, `empty` as in table; `text(row)`: what the filter searches;
 * `views`: [{id, label, keep(row)}]; `chips`: [{id, label, value(row), word(value)}]; `foot(rows)`: texts;
 * `create`, `also`: {text, short, address}; `links`: [{text, address, count, on}] to lists beside this one.
 */
export function listPage({ kind, title, columns, open, address, empty, text, views = [], chips = [], links = [], foot, create, also, sort }) {
  const chosen = {};
  let view = "", wanted = "", read = null;
  const grid = table({ label: title, columns, open, address, empty: () => (wanted || Object.values(chosen).some(Boolean) || view !== views[0]?.id ? nothing() : empty()),
    sorted: (one) => keep({ sort: `${one.key}${one.down ? ".down" : ""}` === sort ? "" : `${one.key}${one.down ? ".down" : ""}` }) });
  const field = h("input", { class: "in", type: "search", placeholder: t(kind === "vms" ? "filter.hint" : "keys.search"), "aria-label": t("filter"), oninput: () => { wanted = field.value; keep({ q: wanted }); draw(); }, onkeydown: (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") { event.preventDefault(); grid.grid.focus(); }
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
    h("div", { class: "tools-row" }, h("label", { class: "field-find" }, icon("search"), field), filters, also && h("a", { class: "btn low only-narrow", href: also.address }, also.short), create && h("a", { class: "btn low primary only-narrow", href: create.address }, create.short)),
    grid.element, end, says);

  function nothing() {
    return h("div", { class: "empty" }, h("h2", {}, t("empty.filter")), h("p", {}, t("empty.filter.say")),
      h("button", { class: "btn low", type: "button", onclick: clear }, t("filter.clear")));
  }

  /** Take view, filter, chips and order from the address; draws when one of them is another. */
  function reread() {
    const { query } = here();
    if (read === query.toString()) return;
    const first = read === null;
    read = query.toString();
    view = views.some((one) => one.id === query.get("view")) ? query.get("view") : views[0]?.id;
    wanted = query.get("q") ?? "";
    if (field.value !== wanted) field.value = wanted;
    for (const { id } of chips) chosen[id] = query.get(id) ?? "";
    const [key, down] = (query.get("sort") ?? sort ?? "").split(".");
    grid.order(key ? { key, down: down === "down" } : null);
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
    keep({ q: "", view: "", ...chosen });
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
    grid.show(rows, changed);
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
      keep({ view: n ? view : "" });
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
    const sign = JSON.stringify([values, chosen]);
    if (filters.dataset.sign === sign) return;
    filters.dataset.sign = sign;
    filters.replaceChildren(...chips.flatMap((chip, n) => chipOf(chip, values[n])));
  }

  function chipOf(chip, values) {
    const on = chosen[chip.id];
    const set = (value) => { chosen[chip.id] = value; keep({ [chip.id]: value }); draw(); };
    const button = h("button", { type: "button", class: on ? "chip on" : "chip" }, icon(on ? "filter" : "plus"), on ? `${chip.label}: ${chip.word(on)}` : chip.label);
    return menu(button, chip.label, [...values.map((value) => ({ text: chip.word(value), on: value === on, deed: () => set(value === on ? "" : value) })),
      ...(on ? [null, { text: t("filter.any"), icon: "x", deed: () => set("") }] : [])]);
  }

  reread();
  const stops = [watch(kind, draw), ...links.filter(({ count }) => count !== kind).map(({ count }) => watch(count, drawLinks))];
  draw();
  drawLinks();
  return { element, table: grid, reread, end: () => stops.forEach((stop) => stop()), create: create?.address };
}
