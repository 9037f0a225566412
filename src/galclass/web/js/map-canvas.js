/** The map as a canvas: zoom, pan, a lasso, a current object that the arrow keys move; draws only when something changed. */

import { h } from "./dom.js";
import { Points } from "./map-points.js";
import { Tiles } from "./map-tiles.js";

const GROUND = "#0a0e12"; // dark in every theme, as the pictures are
const ZOOM_STEP = 1.35;
const NEAREST_SCALE = 0.55; // of the whole map in the window
const FARTHEST_SCALE = 60;
const LARGEST_PX = 96; // of a picture on the map
const SMALLEST_PX = 7;
const CLICK_PX = 5; // a pointer that moved less is a click
const REACH_PX = 28; // from a click to an object
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const UPLOAD = 1.5; // size of an image of this visit beside a stored one

export class MapCanvas {
  #frame = 0;
  #pointers = new Map();
  #lasso = null;

  /** `on` are {select(indexes, add), toggle(index), clear(), open(index), moved(index)}. */
  constructor(points, sheets, colours, signal, on) {
    Object.assign(this, { points, sheets, colours, on, selected: new Set(), current: -1, selecting: false, passes: () => true });
    this.view = null;
    this.pictures = new Map(); // of the images of this visit
    this.element = h("canvas", { class: "map-canvas", tabindex: 0, role: "application", "aria-roledescription": "map", "aria-label": "Map of galaxies", "aria-describedby": "map-keys" });
    this.context = this.element.getContext("2d", { alpha: false });
    this.tiles = new Tiles((context, area, side) => this.#paint(context, area, side));
    this.#listen();
    this.watch = new ResizeObserver(() => this.#resize());
    this.watch.observe(this.element);
    signal.addEventListener("abort", () => (this.watch.disconnect(), cancelAnimationFrame(this.#frame)));
  }

  #listen() {
    const listen = (name, listener, options) => this.element.addEventListener(name, listener, options);
    listen("pointerdown", (event) => this.#down(event));
    listen("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) listen(name, (event) => this.#up(event));
    listen("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 160), [event.offsetX, event.offsetY]);
    }, { passive: false });
    listen("dblclick", (event) => this.current >= 0 && !event.shiftKey && this.on.open(this.current));
    listen("keydown", (event) => this.#key(event));
  }

  get #size() {
    return [this.element.clientWidth, this.element.clientHeight];
  }

  #wholeScale() {
    const [width, height] = this.#size;
    const [wide, tall] = Points.size;
    return Math.max(1, Math.min(width / wide, height / tall) * 0.9);
  }

  #resize() {
    const [width, height] = this.#size;
    if (!width || !height) return;
    this.ratio = Math.min(2, window.devicePixelRatio || 1);
    const zoomed = this.view && this.whole && this.view.scale / this.whole;
    this.whole = this.#wholeScale();
    this.element.width = Math.round(width * this.ratio);
    this.element.height = Math.round(height * this.ratio);
    if (zoomed) this.view.scale = this.whole * zoomed;
    else if (!this.view) this.showAll();
    this.redraw();
  }

  /** Show the whole map. */
  showAll() {
    const [wide, tall] = Points.size;
    this.#look({ x: wide / 2, y: tall / 2, scale: this.whole });
  }

  /** Show some objects, as large as they fit. */
  showThese(indexes) {
    if (!indexes.length || !this.whole) return;
    const span = (list) => [Math.min(...indexes.map((index) => list[index])), Math.max(...indexes.map((index) => list[index]))];
    const [[left, right], [bottom, top]] = [span(this.points.x), span(this.points.y)];
    const [width, height] = this.#size;
    const scale = Math.min((0.8 * width) / Math.max(right - left, 1e-3), (0.8 * height) / Math.max(top - bottom, 1e-3), this.whole * 8);
    this.#look({ x: (left + right) / 2, y: (bottom + top) / 2, scale: Math.max(scale, this.whole) });
  }

  #look(view) {
    const [wide, tall] = Points.size;
    const held = (value, side) => Math.max(-0.1, Math.min(side + 0.1, value));
    this.view = { x: held(view.x, wide), y: held(view.y, tall), scale: Math.max(this.whole * NEAREST_SCALE, Math.min(this.whole * FARTHEST_SCALE, view.scale)) };
    this.redraw();
  }

  /** Zoom by a factor about a point of the window, by default its centre. */
  zoom(factor, at = null) {
    if (!this.view) return;
    const [x, y] = at ?? this.#size.map((side) => side / 2);
    const [before, { scale }] = [this.#placeAt(x, y), this.view];
    this.#look({ ...this.view, scale: scale * factor });
    const after = this.#placeAt(x, y);
    this.#look({ ...this.view, x: this.view.x + before[0] - after[0], y: this.view.y + before[1] - after[1] });
  }

  pan(dx, dy) {
    if (this.view) this.#look({ ...this.view, x: this.view.x - dx / this.view.scale, y: this.view.y + dy / this.view.scale });
  }

  #placeAt(px, py) {
    const [width, height] = this.#size;
    return [this.view.x + (px - width / 2) / this.view.scale, this.view.y - (py - height / 2) / this.view.scale];
  }

  #pointOf(index) {
    const [width, height] = this.#size;
    return [(this.points.x[index] - this.view.x) * this.view.scale + width / 2, (this.view.y - this.points.y[index]) * this.view.scale + height / 2];
  }

  /** Side of a picture in px: as large as the spacing on the whole map allows, growing slower than the zoom. */
  #sideAt(scale) {
    const room = this.whole * Math.sqrt((Points.size[0] * 0.5) / Math.max(1, this.points.length));
    return Math.max(SMALLEST_PX, Math.min(LARGEST_PX, 1.25 * room * (scale / this.whole) ** 0.7));
  }

  /** Redraw after a change of colours, filters, selection or pictures; `area` is the part of the map that changed. */
  spoil(area = null) {
    this.tiles.spoil(area);
    this.redraw();
  }

  redraw() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #draw() {
    if (!this.view || !this.whole) return; // not laid out yet
    const [width, height] = this.#size;
    const { context, ratio } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    const missing = this.tiles.draw(context, this.view, width, height, ratio);
    this.tiles.shown(this.view);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (this.current >= 0) this.#ring(context);
    if (this.#lasso) this.#drawLasso(context);
    if (missing) this.redraw();
  }

  #paint(context, area, side) {
    const size = this.#sideAt(area.scale);
    const margin = (size * UPLOAD) / area.scale;
    context.fillStyle = GROUND;
    context.fillRect(0, 0, side, side);
    context.imageSmoothingQuality = "low";
    for (const index of this.points.within(area.left - margin, area.bottom - margin, area.left + area.width + margin, area.bottom + area.height + margin)) {
      this.#picture(context, index, (this.points.x[index] - area.left) * area.scale, side - (this.points.y[index] - area.bottom) * area.scale, size);
    }
  }

  #picture(context, index, x, y, size) {
    const item = this.points.items.get(index);
    const chosen = this.selected.has(index);
    const side = item ? Math.max(size * UPLOAD, 18) : size;
    const frame = chosen || item ? Math.max(2, side / 14) : Math.max(1, side / 20);
    context.globalAlpha = this.passes(index) ? 1 : 0.13;
    if (chosen || item) {
      context.fillStyle = chosen ? "#fff" : "#ffe75e";
      context.fillRect(x - side / 2 - frame, y - side / 2 - frame, side + 2 * frame, side + 2 * frame);
    }
    context.fillStyle = this.colours[this.points.classes[index]];
    context.fillRect(x - side / 2, y - side / 2, side, side);
    const inner = side - 2 * frame;
    const picture = item ? this.pictures.get(item.key) : this.sheets.pictureOf(index);
    if (picture && inner > 3) {
      const [bitmap, left, top, part] = item ? [picture, 0, 0, picture.width] : picture;
      context.drawImage(bitmap, left, top, part, part, x - inner / 2, y - inner / 2, inner, inner);
    }
    context.globalAlpha = 1;
  }

  #ring(context) {
    const [x, y] = this.#pointOf(this.current);
    const side = this.#sideAt(this.view.scale) * (this.points.items.has(this.current) ? UPLOAD : 1) + 8;
    for (const [colour, wide] of [["#000", 5], ["#fff", 2.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = wide;
      context.strokeRect(x - side / 2, y - side / 2, side, side);
    }
  }

  #drawLasso(context) {
    context.beginPath();
    for (const [x, y] of this.#lasso.line) context.lineTo(x, y);
    context.closePath();
    context.fillStyle = "rgb(255 255 255 / 0.14)";
    context.fill();
    context.strokeStyle = "#fff";
    context.lineWidth = 1.5;
    context.stroke();
  }

  #down(event) {
    if (event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    const at = [event.offsetX, event.offsetY];
    this.#pointers.set(event.pointerId, { at, from: at });
    if (this.#pointers.size === 1 && (this.selecting || event.shiftKey)) this.#lasso = { line: [at], add: event.ctrlKey || event.metaKey };
    else this.#lasso = null; // the second finger zooms
    this.element.classList.toggle("moving", !this.#lasso);
  }

  #move(event) {
    const pointer = this.#pointers.get(event.pointerId);
    if (!pointer) return;
    const at = [event.offsetX, event.offsetY];
    if (this.#lasso) {
      this.#lasso.line.push(at);
      this.redraw();
    } else if (this.#pointers.size === 2) {
      const [other] = [...this.#pointers.entries()].find(([id]) => id !== event.pointerId).slice(1);
      const apart = ([x, y]) => Math.hypot(x - other.at[0], y - other.at[1]);
      if (apart(pointer.at) > 0) this.zoom(apart(at) / apart(pointer.at), other.at);
    } else {
      this.pan(at[0] - pointer.at[0], at[1] - pointer.at[1]);
    }
    pointer.at = at;
  }

  #up(event) {
    const pointer = this.#pointers.get(event.pointerId);
    if (!pointer) return;
    this.#pointers.delete(event.pointerId);
    this.element.classList.remove("moving");
    const lasso = this.#lasso;
    this.#lasso = null;
    this.redraw();
    if (event.type === "pointercancel") return;
    const moved = Math.hypot(pointer.at[0] - pointer.from[0], pointer.at[1] - pointer.from[1]);
    if (lasso && lasso.line.length > 2 && moved + lasso.line.length > CLICK_PX) {
      const line = lasso.line.map(([x, y]) => this.#placeAt(x, y));
      return this.on.select(this.points.inside(line).filter(this.passes), lasso.add);
    }
    if (moved > CLICK_PX) return;
    const index = this.points.nearest(...this.#placeAt(...pointer.at), REACH_PX / this.view.scale, this.passes);
    this.moveTo(index);
    if (index >= 0 && (event.ctrlKey || event.metaKey || event.shiftKey || this.selecting)) this.on.toggle(index);
  }

  /** Make an object the current one and keep it in view; -1: none. */
  moveTo(index) {
    this.current = index;
    if (index >= 0) {
      const [x, y] = this.#pointOf(index);
      const [width, height] = this.#size;
      if (x < 0 || y < 0 || x > width || y > height) this.#look({ ...this.view, x: this.points.x[index], y: this.points.y[index] });
    }
    this.redraw();
    this.on.moved(index);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.view) return;
    const arrow = ARROWS[event.key];
    const run = {
      "+": () => this.zoom(ZOOM_STEP), "=": () => this.zoom(ZOOM_STEP), "-": () => this.zoom(1 / ZOOM_STEP), 0: () => this.showAll(),
      " ": () => this.current >= 0 && this.on.toggle(this.current), Enter: () => this.current >= 0 && this.on.open(this.current),
      v: () => this.on.select(this.inSight(), false), Escape: () => this.on.clear(),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key] ?? (arrow && (() => (event.shiftKey ? this.pan(-90 * arrow[0], 90 * arrow[1]) : this.#step(arrow))));
    if (!run) return;
    event.preventDefault();
    run();
  }

  #step(arrow) {
    const next = this.current < 0 ? this.points.nearest(this.view.x, this.view.y, 2, this.passes) : this.points.next(this.current, arrow, this.passes);
    if (next >= 0) this.moveTo(next);
  }

  /** Indexes of the objects in the window that are not filtered out. */
  inSight() {
    const [width, height] = this.#size;
    const [left, top] = this.#placeAt(0, 0);
    const [right, bottom] = this.#placeAt(width, height);
    return this.points.within(left, bottom, right, top).filter(this.passes);
  }
}
