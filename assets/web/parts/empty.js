// An empty place teaches the next step.
import { mayOpen } from "../access.js";
import { h } from "./dom.js";

/** What is missing, why that is, and the button that ends it; `other` is a second way. */
export function empty(title, say, button = "", address = "", other = "", there = "") {
  return h("div", { class: "empty" }, h("h2", {}, title), h("p", {}, say),
    button && mayOpen(address) && h("div", { class: "btns" }, h("a", { class: "btn low primary", href: address }, button), other && h("a", { class: "btn low", href: there }, other)));
}
