// Elements by hand. Data only ever becomes text or an attribute: there is no way from here to markup.
const SVG = "http://www.w3.org/2000/svg";

/** An element. `props`: attributes; `on*` listeners; true sets an empty attribute, false/null none. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2).toLowerCase(), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

/** Put icons.svg into the page, once: what is drawn anew then has its shape at once, and nothing flickers. The policy
 *  lets no string become markup, so the browser parses the file itself. */
export function loadIcons() {
  const request = new XMLHttpRequest();
  request.open("GET", "icons.svg");
  request.responseType = "document";
  request.addEventListener("load", () => {
    const sheet = document.importNode(request.responseXML.documentElement, true);
    sheet.setAttribute("class", "hide");
    sheet.setAttribute("aria-hidden", "true");
    document.body.append(sheet);
  });
  request.send();
}

/** An icon of icons.svg, by its name there. */
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
}

/** A state's shape: run ok stop work attn fault unknown. */
export function shape(kind) {
  const use = svg("use", { href: `#s-${kind}` });
  return svg("svg", { class: `shape ${kind}`, "aria-hidden": "true" }, use);
}

/** Text for a screen reader only. */
export function hidden(text) {
  return h("span", { class: "hide" }, text);
}

/** A bar of `share` (0 to 1) in the class `kind`, with an upright line at `line` when given. */
export function bar(share, kind, label, line = null) {
  const percent = `${Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10}%`;
  const at = line === null ? null : `${Math.round(line * 1000) / 10}%`;
  return svg("svg", { class: "bar", role: "img", "aria-label": label },
    svg("rect", { class: "track", width: "100%", height: 8, y: 6 }),
    svg("rect", { class: kind, width: percent, height: 8, y: 6 }),
    at && svg("line", { class: "line", x1: at, x2: at, y1: 2, y2: 18 }));
}
