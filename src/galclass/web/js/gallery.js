/** A list of cards of equal height that contains only those near the window: 500 images cost as much as 20. */

import { h } from "./dom.js";

/** Sizes in px: the smallest width, the height as in the style sheet, the gap between two. */
export const SIZES = { cards: { width: 300, height: 428, gap: 16 }, grid: { width: 104, height: 134, gap: 8 } };

const MARGIN_PX = 900; // kept above and below the window

/** The position of the item at an index. */
function spot(index, { across, width, height, gap }) {
  return { width, height, x: (index % across) * (width + gap), y: Math.floor(index / across) * (height + gap) };
}

export class Gallery {
  #items = [];
  #drawn = new Map();

  /** `draw(item, mode)` makes the node of an item; `mode` is a key of `SIZES`. */
  constructor(draw, mode, signal) {
    this.draw = draw;
    this.mode = mode;
    this.element = h("ul", { class: "gallery" });
    window.addEventListener("scroll", () => this.#layOut(), { passive: true, signal });
    window.addEventListener("resize", () => this.#layOut(), { signal });
    this.watch = new ResizeObserver(() => this.#layOut());
    this.watch.observe(this.element);
    signal.addEventListener("abort", () => this.watch.disconnect());
  }

  /** Show these items in this order. */
  show(items) {
    this.#items = items;
    this.#layOut();
  }

  /** Draw cards or a grid. */
  setMode(mode) {
    this.mode = mode;
    for (const drawn of this.#drawn.values()) drawn.version = -1;
    this.#layOut();
  }

  /** Scroll an item into view if necessary, and focus it. */
  reveal(key) {
    const index = this.#items.findIndex((item) => item.key === key);
    if (index < 0) return;
    const { y, height } = spot(index, this.#measure());
    const top = this.element.getBoundingClientRect().top + y;
    const covered = document.querySelector(".instrument.working")?.getBoundingClientRect().bottom ?? 0;
    if (top < covered || top + height > window.innerHeight) window.scrollBy(0, top - Math.max(covered + 12, window.innerHeight / 3));
    this.#layOut();
    this.#drawn.get(key)?.node.querySelector("button")?.focus({ preventScroll: true });
  }

  /** Read the width once: reading it between two writes would lay the page out for every card. */
  #measure() {
    const { width: smallest, height, gap } = SIZES[this.mode];
    const across = Math.max(1, Math.floor((this.element.clientWidth + gap) / (smallest + gap)));
    return { across, height, gap, width: (this.element.clientWidth - gap * (across - 1)) / across };
  }

  #layOut() {
    if (!this.element.clientWidth) return;
    const layout = this.#measure();
    const { across, height, gap } = layout;
    const step = height + gap;
    const rows = Math.ceil(this.#items.length / across);
    this.element.style.height = `${Math.max(0, rows * step - gap)}px`;
    const top = -this.element.getBoundingClientRect().top;
    const firstRow = Math.max(0, Math.floor((top - MARGIN_PX) / step));
    const lastRow = Math.min(rows, Math.ceil((top + window.innerHeight + MARGIN_PX) / step));
    this.#place(firstRow * across, Math.min(this.#items.length, lastRow * across), layout);
  }

  #place(first, end, layout) {
    const wanted = new Set();
    const focused = document.activeElement?.closest?.(".gallery > li")?.dataset.key;
    this.#items.forEach((item, index) => {
      if ((index < first || index >= end) && item.key !== focused) return;
      wanted.add(item.key);
      this.#put(item, index, spot(index, layout));
    });
    for (const [key, { node }] of this.#drawn) {
      if (wanted.has(key)) continue;
      node.remove();
      this.#drawn.delete(key);
    }
  }

  #put(item, index, { x, y, width }) {
    let drawn = this.#drawn.get(item.key);
    if (!drawn) {
      drawn = { node: h("li", { "data-key": item.key }), version: -1, index: -1 };
      this.#drawn.set(item.key, drawn);
    }
    if (drawn.version !== item.version) this.#redraw(drawn, item);
    if (drawn.index !== index || !drawn.node.isConnected) this.#insert(drawn, index);
    drawn.node.style.transform = `translate(${x}px, ${y}px)`;
    drawn.node.style.width = `${width}px`;
    drawn.node.setAttribute("aria-setsize", this.#items.length);
    drawn.node.setAttribute("aria-posinset", index + 1);
  }

  /** The card of an item; one that fails is reported and does not take the others with it. */
  #cardOf(item) {
    try {
      return this.draw(item, this.mode);
    } catch (error) {
      reportError(error);
      return h("p", { class: "fault" }, `The page cannot show ${item.name}.`);
    }
  }

  #redraw(drawn, item) {
    const hadFocus = drawn.node.contains(document.activeElement);
    drawn.node.replaceChildren(this.#cardOf(item));
    drawn.version = item.version;
    if (hadFocus) drawn.node.querySelector("button")?.focus({ preventScroll: true });
  }

  /** Keep the document order equal to the visible order, so that Tab walks the cards as they are seen. */
  #insert(drawn, index) {
    drawn.index = index;
    const after = [...this.element.children].find((node) => node !== drawn.node && this.#drawn.get(node.dataset.key)?.index > index);
    if (drawn.node.contains(document.activeElement)) return;
    this.element.insertBefore(drawn.node, after ?? null);
  }
}
