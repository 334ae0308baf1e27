// What came of the deed this person just did. Errors stay until they are closed.
import { t } from "../i18n.js";
import { h, icon, shape } from "./dom.js";

const STAY_MS = 6000;
const place = h("div", { class: "toasts", role: "status", "aria-live": "polite" });

/** Say it; `kind` is a shape. */
export function toast(text, kind = "ok") {
  if (!place.isConnected) document.body.append(place);
  const close = h("button", { type: "button", class: "btn square quiet low", "aria-label": t("close"), onclick: () => box.remove() }, icon("x"));
  const box = h("div", { class: "toast" }, shape(kind), h("p", {}, text), close);
  place.append(box);
  if (kind !== "fault") setTimeout(() => box.remove(), STAY_MS);
}
