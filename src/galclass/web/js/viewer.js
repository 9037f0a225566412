/** The picture of the detail view: zoom and move, invert, stretch, and a scale bar. */

import { h, svg } from "./dom.js";
import { freePicture } from "./pictures.js";

const STRETCHES = { linear: null, asinh: 8, "strong asinh": 40 };
const STEPS = 33; // of a stretch's table
const ZOOMS = [1, 1.5, 2, 3, 4, 6, 8];
const BARS_PX = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]; // lengths of the scale bar
const PART = 0.35; // largest share of the picture for the scale bar

/** The drawing filters of the stretches, to be put into the document once. */
export function stretchSheet() {
  const filters = Object.entries(STRETCHES).filter(([, softening]) => softening).map(([name, softening]) => {
    const table = Array.from({ length: STEPS }, (_, step) => (Math.asinh((softening * step) / (STEPS - 1)) / Math.asinh(softening)).toFixed(4)).join(" ");
    const channel = (tag) => svg(tag, { type: "table", tableValues: table });
    return svg("filter", { id: `stretch-${name.replace(" ", "-")}`, "color-interpolation-filters": "sRGB" },
      svg("feComponentTransfer", {}, channel("feFuncR"), channel("feFuncG"), channel("feFuncB")));
  });
  return svg("svg", { class: "sheet", width: 0, height: 0, "aria-hidden": "true" }, filters);
}

export class Viewer {
  #zoom = 0;
  #shift = [0, 0];
  #inverted = false;
  #stretch = "linear";

  constructor() {
    this.image = h("img", { alt: "", draggable: "false", decoding: "async" });
    this.fault = h("span", { class: "no-picture", hidden: true }, "No image");
    this.rule = h("span", { class: "rule" });
    this.plate = h("div", { class: "plate viewer", onpointerdown: (event) => this.#drag(event), onwheel: (event) => this.#wheel(event), ondblclick: () => this.zoom(this.#zoom ? -ZOOMS.length : 2) }, this.image, this.fault, this.rule);
    const button = (text, label, run) => h("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: run }, text);
    this.invert = h("button", { type: "button", class: "quiet", "aria-pressed": "false", title: "Invert (I)", onclick: () => this.toggleInvert() }, "Invert");
    this.stretch = h("select", { "aria-label": "Stretch", title: "Stretch (S)", onchange: (event) => this.setStretch(event.target.value) }, Object.keys(STRETCHES).map((name) => h("option", { value: name }, name)));
    this.level = h("span", { class: "level", "aria-live": "polite" }, "1 ×");
    this.element = h("figure", { class: "viewing" }, this.plate,
      h("div", { class: "tools", role: "group", "aria-label": "Picture" }, button("−", "Zoom out (-)", () => this.zoom(-1)), this.level, button("+", "Zoom in (+)", () => this.zoom(1)), this.invert, this.stretch));
    this.image.addEventListener("load", () => this.#measure());
    this.image.addEventListener("error", () => (this.fault.hidden = false));
    for (const end of ["load", "error"]) this.image.addEventListener(end, () => freePicture(this.image.src));
    new ResizeObserver(() => this.#measure()).observe(this.image);
  }

  /** Show a whole picture; inversion and stretch are kept. */
  show(url, alt) {
    this.fault.hidden = true;
    this.rule.textContent = "";
    this.#zoom = 0;
    this.#shift = [0, 0];
    this.image.alt = alt;
    freePicture(this.image.src); // the one before, if it was never drawn
    if (url) this.image.src = url;
    else this.image.removeAttribute("src");
    this.#apply();
  }

  /** Zoom by a number of steps. */
  zoom(steps) {
    this.#zoom = Math.max(0, Math.min(ZOOMS.length - 1, this.#zoom + steps));
    if (!this.#zoom) this.#shift = [0, 0];
    this.#apply();
  }

  toggleInvert() {
    this.#inverted = !this.#inverted;
    this.#apply();
  }

  setStretch(name) {
    this.#stretch = name;
    this.#apply();
  }

  /** The next stretch, for the keyboard. */
  nextStretch() {
    const names = Object.keys(STRETCHES);
    this.setStretch(names[(names.indexOf(this.#stretch) + 1) % names.length]);
  }

  #apply() {
    const zoom = ZOOMS[this.#zoom];
    const filters = [STRETCHES[this.#stretch] && `url(#stretch-${this.#stretch.replace(" ", "-")})`, this.#inverted && "invert(1)"].filter(Boolean);
    this.image.style.transform = `translate(${this.#shift[0]}px, ${this.#shift[1]}px) scale(${zoom})`;
    this.image.style.filter = filters.join(" ") || "none";
    this.image.style.imageRendering = zoom > 2 ? "pixelated" : "auto";
    this.plate.classList.toggle("movable", zoom > 1);
    this.level.textContent = `${zoom} ×`;
    this.invert.setAttribute("aria-pressed", String(this.#inverted));
    this.stretch.value = this.#stretch;
    this.#measure();
  }

  /** The scale bar in pixels of the file: the longest round length that fits. */
  #measure() {
    const { naturalWidth, clientWidth } = this.image;
    if (!naturalWidth || !clientWidth) return;
    const shown = Math.min(clientWidth / naturalWidth, this.image.clientHeight / this.image.naturalHeight) * ZOOMS[this.#zoom];
    const length = BARS_PX.findLast((px) => px * shown <= PART * clientWidth) ?? BARS_PX[0];
    this.rule.textContent = `${length} px`;
    this.rule.style.width = `${length * shown}px`;
  }

  #wheel(event) {
    if (!event.ctrlKey && !this.#zoom) return; // the page keeps scrolling
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? 1 : -1);
  }

  #drag(event) {
    if (!this.#zoom) return;
    event.preventDefault();
    const [x, y] = [event.clientX - this.#shift[0], event.clientY - this.#shift[1]];
    const move = (moved) => {
      this.#shift = [moved.clientX - x, moved.clientY - y];
      this.#apply();
    };
    this.plate.setPointerCapture(event.pointerId);
    const ended = new AbortController();
    const listen = (name, listener) => this.plate.addEventListener(name, listener, { signal: ended.signal });
    listen("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) listen(name, () => ended.abort());
  }
}
