/** A list of cards of one height that holds only those near the window: 500 images cost as much as 20. */

import { h } from "./dom.js";

const CARD_WIDTH = 300; // smallest width in px
const CARD_HEIGHT = 428; // px, as in style.css
const GAP = 16; // px
const MARGIN_ROWS = 2; // rows kept above and below the window

export class Gallery {
  #items = [];
  #drawn = new Map();

  constructor(drawCard, signal) {
    this.drawCard = drawCard;
    this.element = h("ul", { class: "gallery" });
    window.addEventListener("scroll", () => this.#layOut(), { passive: true, signal });
    this.watch = new ResizeObserver(() => this.#layOut());
    this.watch.observe(this.element);
    signal.addEventListener("abort", () => this.watch.disconnect());
  }

  /** Show these items in this order. */
  show(items) {
    this.#items = items;
    this.#layOut();
  }

  #layOut() {
    const width = this.element.clientWidth;
    if (!width) return;
    const across = Math.max(1, Math.floor((width + GAP) / (CARD_WIDTH + GAP)));
    const cardWidth = (width - GAP * (across - 1)) / across;
    const step = CARD_HEIGHT + GAP;
    const rows = Math.ceil(this.#items.length / across);
    this.element.style.height = `${Math.max(0, rows * step - GAP)}px`;
    const top = -this.element.getBoundingClientRect().top;
    const firstRow = Math.max(0, Math.floor(top / step) - MARGIN_ROWS);
    const lastRow = Math.min(rows, Math.ceil((top + window.innerHeight) / step) + MARGIN_ROWS);
    this.#draw(firstRow * across, Math.min(this.#items.length, lastRow * across), (index) => ({
      x: (index % across) * (cardWidth + GAP),
      y: Math.floor(index / across) * step,
      width: cardWidth,
    }));
  }

  #draw(first, end, place) {
    const wanted = new Set();
    const focused = document.activeElement?.closest?.(".gallery > li")?.dataset.key;
    this.#items.forEach((item, index) => {
      if ((index < first || index >= end) && item.key !== focused) return;
      wanted.add(item.key);
      this.#put(item, index, place(index));
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

  #redraw(drawn, item) {
    const hadFocus = drawn.node.contains(document.activeElement);
    drawn.node.replaceChildren(this.drawCard(item));
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
