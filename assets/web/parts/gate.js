// Buttons that change something, while nothing can be changed: they stay where they are and say why.
import { may } from "../access.js";
import { blocked, watchCluster } from "../cluster.js";
import { toast } from "./toast.js";

function apply(button) {
  const why = blocked();
  if (why) {
    button.dataset.title ??= button.title;
    button.setAttribute("aria-disabled", "true");
    button.setAttribute("aria-describedby", "no-quorum");
    button.title = why;
  } else if (button.dataset.title !== undefined) {
    button.removeAttribute("aria-disabled");
    button.removeAttribute("aria-describedby");
    button.title = button.dataset.title;
    delete button.dataset.title;
  }
}

/** A button whose deed needs the cluster's agreement. Returns it; nothing when the person may not do it. */
export function gate(button, permission = "") {
  if (!may(permission)) return "";
  button.dataset.write = "";
  apply(button);
  return button;
}

/** Keep all of them as the cluster is; returns how to stop. */
export function keepGates() {
  return watchCluster(() => { for (const button of document.querySelectorAll("[data-write]")) apply(button); });
}

// One place for all: a click or an Enter on a shut gate does nothing but say why.
function stop(event) {
  const shut = event.type === "submit" ? event.submitter?.closest("[aria-disabled=true]") : event.target.closest?.("[data-write][aria-disabled=true]");
  if (!shut) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  toast(blocked() || shut.title, "attn");
}

addEventListener("click", stop, true);
addEventListener("submit", stop, true);
