// A tile for each machine, node by node: hundreds at a glance, each with the shape and the word of its state.
import { mebibytes, number, t } from "../i18n.js";
import { go, to } from "../router.js";
import { h } from "./dom.js";
import { marksOf, runningText } from "./places.js";
import { notOurs, scene } from "./scene.js";
import { kindOf, nodeState, stateMark, unheard, vmMark } from "./state.js";

/** As `tree`. Rows of a grid are a node's head or as many tiles as fit beside each other. */
export function tiles({ label, columns, open, empty, address }) {
  let selected = null, active = null, lines = [];
  const body = h("div", { class: "tiles", role: "grid", tabindex: "0", "aria-label": label, onkeydown: keys, onclick: pick, onfocus: () => active === null && aim(0, 0) });
  const all = scene({ body, columns, empty, linesOf, mark });
  const { view } = all;

  /** How many tiles stand beside each other. */
  function broad() {
    const room = view.width() - 2 * view.length("--tile-pad") + view.length("--tile-gap");
    return Math.max(1, Math.floor(room / (view.length("--tile-width") + view.length("--tile-gap"))));
  }

  function linesOf(groups) {
    const wide = broad(), heights = { head: view.length("--tile-head"), tiles: view.length("--tile-line") };
    lines = groups.flatMap(({ domain, nodes }) => nodes.flatMap((group) => {
      const found = [{ id: `head ${group.id}`, cells: [`node ${group.id}`], height: heights.head, get sign() { return headSign(group, domain); }, build: () => head(group, domain), group }];
      for (let n = 0; n < group.vms.length; n += wide) {
        const vms = group.vms.slice(n, n + wide);
        found.push({ id: `tiles ${group.id} ${n}`, cells: vms.map((vm) => `vm ${vm.id}`), vms, height: heights.tiles, get sign() { return vms.map((vm) => `${all.stamp(vm)} ${unheard(vm)}`).join(); }, build: () => row(vms.map(tile), "tile-row") });
      }
      return found;
    }));
    body.style.setProperty("--tiles", String(wide));
    body.setAttribute("aria-rowcount", String(lines.length));
    body.setAttribute("aria-colcount", String(wide));
    if (!find()) active = null;
    return lines;
  }

  const row = (cells, kind) => h("div", { class: kind, role: "row" }, cells);

  function headSign({ node, name, vms }, domain) {
    return JSON.stringify([all.only, name, domain, vms.length && runningText(vms), node && [nodeState(node), marksOf(node), node.memory_used_mb, node.memory_mb]]);
  }

  function head({ id, node, name, vms }, domain) {
    const said = all.only ? t("filter.found", { n: number(vms.length) }) : vms.length ? runningText(vms) : t("tree.empty");
    return row(h("div", { class: "tile-head", role: "gridcell", id: `cell-node-${id}`, "data-cell": `node ${id}` },
      node ? h("a", { class: "strong clip", href: to("nodes", node.name), tabindex: "-1" }, node.name) : h("b", { class: "clip" }, name || t("tree.nowhere")), stateMark(node ? nodeState(node) : "unknown"),
      node && marksOf(node).map((text) => h("span", { class: "tag hide-n" }, text)), domain && h("span", { class: "tag hide-n" }, domain),
      h("span", { class: "end" }, h("span", {}, said), node && h("span", { class: "hide-n" }, t("of", { used: mebibytes(node.memory_used_mb), all: mebibytes(node.memory_mb) })))), "tile-top");
  }

  function tile(vm) {
    const kind = unheard(vm) ? "unknown" : vm.problem ? "fault" : kindOf(vm.state);
    return h("div", { class: `tile ${kind}${vm.gone ? " gone" : ""}`, role: "gridcell", id: `cell-vm-${vm.id}`, "data-cell": `vm ${vm.id}` },
      h("a", { class: "strong clip", href: address(vm), tabindex: "-1", title: vm.name }, vm.name), vmMark(vm), h("span", { class: "size" }, mebibytes(vm.memory_mb)));
  }

  function mark() {
    for (const cell of body.querySelectorAll("[data-cell]")) {
      const id = cell.dataset.cell;
      cell.classList.toggle("active", id === active);
      if (id.startsWith("vm ")) cell.setAttribute("aria-selected", String(id === `vm ${selected}`));
      all.glow(cell, id);
    }
    const at = new Map(lines.map((line, n) => [line.id, n + 1]));
    for (const element of body.children) if (at.has(element.dataset.line)) element.setAttribute("aria-rowindex", String(at.get(element.dataset.line)));
    const there = active && body.querySelector(`[data-cell="${CSS.escape(active)}"]`);
    if (there) body.setAttribute("aria-activedescendant", there.id);
    else body.removeAttribute("aria-activedescendant");
  }

  /** Where the active cell is: [line, column]. */
  function find() {
    const y = lines.findIndex((line) => line.cells.includes(active));
    return y < 0 ? null : [y, lines[y].cells.indexOf(active)];
  }

  function aim(y, x) {
    const line = lines[Math.max(0, Math.min(lines.length - 1, y))];
    if (!line) return;
    active = line.cells[Math.min(x, line.cells.length - 1)];
    view.reveal(line.id);
  }

  /** One cell on, over the ends of lines. */
  function step(by) {
    const cells = lines.flatMap((line, y) => line.cells.map((_, x) => [y, x])), now = find();
    const at = now ? cells.findIndex(([y, x]) => y === now[0] && x === now[1]) + by : 0;
    if (cells.length) aim(...cells[Math.max(0, Math.min(cells.length - 1, at))]);
  }

  function enter() {
    const [y, x] = find() ?? [];
    if (y === undefined) return;
    const { vms, group } = lines[y];
    if (vms) { if (!vms[x].gone) open(vms[x]); }
    else if (group.node) go(to("nodes", group.node.name));
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [y, x] = find() ?? [0, 0];
    const deeds = {
      ArrowRight: () => step(1), ArrowLeft: () => step(-1), ArrowDown: () => aim(y + 1, x), ArrowUp: () => aim(y - 1, x), PageDown: () => aim(y + 8, x), PageUp: () => aim(y - 8, x),
      Home: () => aim(0, 0), End: () => aim(lines.length - 1, Infinity), Enter: enter,
    };
    if (!deeds[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    deeds[event.key]();
  }

  function pick(event) {
    const id = event.target.closest("[data-cell]")?.dataset.cell;
    if (!id || notOurs(event)) return;
    active = id;
    mark();
    if (!id.startsWith("vm ")) return;
    event.preventDefault();
    body.focus({ preventScroll: true });
    enter();
  }

  return {
    element: view.scroll, grid: body, step, open: enter, order: all.order, show: all.show, end: all.end,
    select(id) {
      selected = id;
      if (id !== null) active = `vm ${id}`;
      mark();
    },
  };
}
