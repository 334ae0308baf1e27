// A file of one's own becomes an image: name, file, and how far it is.
import { get, newKey, sendFile } from "../api.js";
import { bytes, number, t } from "../i18n.js";
import { complaint } from "../parts/dialog.js";
import { bar, h } from "../parts/dom.js";
import { form } from "../parts/form.js";
import { gate } from "../parts/gate.js";
import { toast } from "../parts/toast.js";
import { twins } from "../parts/twins.js";
import { go, to } from "../router.js";
import { soon } from "../store.js";

/** The page. */
export function upload() {
  const element = h("div", { class: "page" }, h("div", { class: "head" }, h("h1", { class: "same" }, t("image.upload.title"))), h("p", { class: "second" }, t("loading")));
  get("/v1/schema").then(({ UploadImage }) => draw(element, UploadImage)).catch((problem) => element.lastChild.replaceWith(h("p", { class: "err", role: "alert" }, problem.message)));
  return { element, crumbs: () => [[t("place.images"), to("images")], [t("upload"), ""]], close: () => go(to("images")), end() {} };
}

function draw(element, { schema, method, path, cli, positionals }) {
  const key = newKey();
  const wrong = complaint();
  const file = h("input", { class: "in file", type: "file", id: "f-file", accept: ".qcow2,.img", "aria-describedby": "s-file", onchange: chosen });
  const size = h("p", { class: "say", id: "s-file" }, t("hint.file"));
  const picked = h("fieldset", {}, h("legend", {}, t("group.file")), h("div", { class: "row" }, h("label", { for: "f-file" }, t("field.file")), h("div", {}, file), size));
  const pair = twins({ method, path, cli, positionals, file: () => file.files[0]?.name ?? "" });
  const last = gate(h("button", { type: "submit", class: "btn primary" }, t("upload")));
  const say = h("p", { class: "say", role: "status" }, t("create.here"));
  let sheet = null;
  sheet = form(schema, { groups: ["image"], changed: () => sheet && show() });
  element.lastChild.replaceWith(h("form", { novalidate: true, onsubmit: submit }, wrong.box, sheet.element, h("div", { class: "form" }, picked), pair.element,
    h("div", { class: "form-foot" }, say, h("div", { class: "btns" }, h("a", { class: "btn", href: to("images") }, t("cancel")), last))));
  show();
  sheet.focus();

  function show() {
    pair.show(sheet.values(), sheet.schemas, key);
  }

  function chosen() {
    const [one] = file.files;
    size.textContent = one ? bytes(one.size) : t("hint.file");
    show();
  }

  function moved(share) {
    say.replaceChildren(bar(share, "work", t("percent", { n: Math.round(share * 100) })), share < 1 ? `${number(share * 100)} %` : t("upload.checked"));
  }

  async function submit(event) {
    event.preventDefault();
    wrong.box.hidden = true;
    const { name } = sheet.values();
    const [one] = file.files;
    if (!name) return sheet.faults([{ pointer: "/name", detail: t("upload.no-name") }]);
    if (!one) return wrong.show({ message: t("upload.no-file") });
    last.disabled = true;
    try {
      await sendFile(path.replace("{name}", encodeURIComponent(name)), one, moved);
      soon("images", 0);
      toast(t("said.create", { name }));
      go(to("images"));
    } catch (problem) {
      say.textContent = t("create.here");
      if (!sheet.faults(problem.faults)) wrong.show(problem);
      element.parentElement?.scrollTo(0, 0);
    }
    last.disabled = false;
  }
}
