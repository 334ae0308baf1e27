// A scrolled stack of lines of any height that builds only those in sight: 10,000 machines scroll like ten.
import { h } from "./dom.js";

const MARGIN = 400;

/**
 * `body`: the element that the lines stand in; `none`: what is shown below them. A line is {id, height, sign, build()}:
 * while its sign stays, so does its element. `moved()`: after each change of what is in sight, or of the width.
 * The line under a pointer that rests keeps its place on the screen: what comes above it moves the scroll, not the line.
 */
export function pane(body, none, { moved = () => {}, resized = () => {} } = {}) {
  let lines = [], tops = [0], frame = 0, width = 0, under = null;
  const drawn = new Map();
  const above = gap(), below = gap();
  const scroll = h("div", { class: "scroll", onscroll: later }, body, none);
  body.addEventListener("pointermove", (event) => { under = event.pointerType === "mouse" ? event.target.closest("[data-line]")?.dataset.line ?? null : null; });
  body.addEventListener("pointerleave", () => { under = null; });
  new ResizeObserver(() => {
    const other = width !== scroll.clientWidth;
    width = scroll.clientWidth;
    if (other) resized();
    later();
  }).observe(scroll);

  function gap() {
    return h("div", { class: "gap", "aria-hidden": "true" });
  }

  function later() {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(draw);
  }

  /** The line at this height. */
  function at(y) {
    let low = 0, high = lines.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (tops[middle + 1] <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  const find = (id) => lines.findIndex((line) => line.id === id);

  function element(line) {
    let kept = drawn.get(line.id);
    if (kept?.sign !== line.sign) {
      kept = { sign: line.sign, element: line.build() };
      kept.element.dataset.line = line.id;
      drawn.set(line.id, kept);
    }
    return kept.element;
  }

  function draw() {
    const from = at(scroll.scrollTop - MARGIN), until = Math.min(lines.length, at(scroll.scrollTop + (scroll.clientHeight || 800) + MARGIN) + 1);
    const wanted = lines.slice(from, until).map(element);
    const keep = new Set(lines.slice(from, until).map((line) => line.id));
    for (const id of [...drawn.keys()]) if (!keep.has(id)) drawn.delete(id);
    above.style.setProperty("height", `${tops[from]}px`);
    below.style.setProperty("height", `${tops[lines.length] - tops[until]}px`);
    const parts = [from ? above : null, ...wanted, until < lines.length ? below : null].filter(Boolean);
    // Elements that stay are not moved: a moved one would lose its hover and glow again.
    for (const child of [...body.children]) if (!parts.includes(child)) child.remove();
    parts.forEach((part, n) => { if (body.children[n] !== part) body.insertBefore(part, body.children[n] ?? null); });
    moved();
  }

  return {
    scroll, draw, later,
    /** Show these lines. */
    show(next) {
      const before = under === null ? -1 : find(under), place = before < 0 ? 0 : tops[before];
      lines = next;
      tops = [0];
      for (const line of lines) tops.push(tops.at(-1) + line.height);
      const after = before < 0 ? -1 : find(under);
      if (after >= 0 && tops[after] !== place) {
        // The room has to be there before the scroll can move into it.
        below.style.setProperty("height", `${tops[lines.length]}px`);
        body.append(below);
        scroll.scrollTop += tops[after] - place;
      }
      draw();
    },
    /** Bring a line into sight, below a head of this many pixels. */
    reveal(id, head = 0) {
      const n = find(id);
      if (n < 0) return;
      const end = tops[n + 1], seen = scroll.clientHeight;
      if (tops[n] - head < scroll.scrollTop) scroll.scrollTop = tops[n] - head;
      else if (end > scroll.scrollTop + seen) scroll.scrollTop = end - seen;
      draw();
    },
    /** The element of a line that is in sight. */
    element: (id) => drawn.get(id)?.element ?? null,
    /** A length that the styles give, in px. */
    length: (name) => parseFloat(getComputedStyle(scroll).getPropertyValue(name)) || 36,
    width: () => scroll.clientWidth,
    end() { cancelAnimationFrame(frame); },
  };
}
