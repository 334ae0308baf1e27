// A button that opens a list of deeds.
import { h, icon } from "./dom.js";

let count = 0;

/** `items`: {text, icon, deed, danger, on} or null for a line. */
export function menu(button, label, items) {
  const id = `menu-${(count += 1)}`;
  const list = h("div", { class: "float menu", id, popover: "auto", role: "menu", "aria-label": label },
    items.map((item) => item === null ? h("hr") : entry(item)));
  const entries = () => [...list.querySelectorAll("button")];
  button.setAttribute("popovertarget", id);
  button.setAttribute("aria-haspopup", "menu");
  list.addEventListener("toggle", (event) => {
    button.setAttribute("aria-expanded", String(event.newState === "open"));
    if (event.newState === "open") { place(button, list); entries()[0]?.focus(); }
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = entries();
    all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
  });
  function entry({ text, icon: picture, deed, danger, on }) {
    const role = on === undefined ? "menuitem" : "menuitemcheckbox";
    return h("button", { type: "button", role, "aria-checked": on === undefined ? null : String(on), class: danger ? "danger" : "",
      onclick: () => { list.hidePopover(); deed(); } }, picture ? icon(picture) : on ? icon("check") : h("span", { class: "blank" }), text);
  }
  return [button, list];
}

function place(button, list) {
  const at = button.getBoundingClientRect();
  const { width, height } = list.getBoundingClientRect();
  const below = at.bottom + 4 + height <= innerHeight;
  list.style.setProperty("left", `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`);
  list.style.setProperty("top", `${below ? at.bottom + 4 : Math.max(8, at.top - height - 4)}px`);
}
