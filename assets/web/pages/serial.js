// What a machine says on its serial port, as it says it.
import { open } from "../api.js";
import { t } from "../i18n.js";
import { h } from "../parts/dom.js";

const MOST = 256 * 1024;
// Control sequences of terminals (ECMA-48): there is no terminal here, only their text is wanted.
const CONTROL = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])|[\u0000-\u0008\u000b-\u001f\u007f]/g;

/** The tab. */
export function serial(id) {
  const control = new AbortController();
  const say = h("span", { class: "end", role: "status" }, t("loading"));
  const text = document.createTextNode("");
  const pre = h("pre", { class: "serial", tabindex: "0", role: "log", "aria-label": t("tab.serial"), "aria-live": "off" }, text);
  const follow = h("input", { type: "checkbox", checked: true, onchange: down });
  const element = h("section", { class: "sec" }, h("div", { class: "sec-head" }, h("h3", {}, t("tab.serial")), say),
    pre, h("label", { class: "tick" }, follow, h("span", {}, t("serial.follow"))));
  pre.addEventListener("scroll", () => { if (pre.scrollHeight - pre.scrollTop - pre.clientHeight > 80) follow.checked = false; });

  function down() {
    if (follow.checked) pre.scrollTop = pre.scrollHeight;
  }

  function add(part) {
    const all = text.data + part.replaceAll("\r\n", "\n").replace(CONTROL, "");
    text.data = all.length > MOST ? all.slice(all.indexOf("\n", all.length - MOST) + 1) : all;
    down();
  }

  async function listen() {
    try {
      const answer = await open(`/v1/vms/${encodeURIComponent(id)}/serial?follow=true`, { signal: control.signal, more: { Accept: "text/plain" } });
      say.textContent = t("serial.live");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        add(value);
      }
      say.textContent = t("serial.ended");
    } catch (problem) {
      if (problem.name !== "AbortError") say.textContent = problem.message;
    }
    if (!text.data) pre.setAttribute("data-empty", t("serial.empty"));
  }

  listen();
  return { element, end: () => control.abort() };
}
