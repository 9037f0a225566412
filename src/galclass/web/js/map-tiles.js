/** The drawn parts of the map: tiles that are painted once for a zoom and then only moved; a few in each frame. */

const SIDE = 256; // of a tile, in px of the page
const BUDGET_MS = 9; // for painting tiles in a frame
const KEPT = 160; // tiles

export class Tiles {
  #tiles = new Map();
  #before = null; // the picture at the previous zoom: {canvas, view}
  #view = null;

  /** `paint(context, view)` draws the content of a view [left, bottom, width, height, scale] into a context at 0, 0. */
  constructor(paint) {
    this.paint = paint;
  }

  /** Mark all tiles, or those that a rectangle of the map touches, as stale; they stay visible until repainted. */
  spoil(area = null) {
    for (const tile of this.#tiles.values()) {
      if (!area || (tile.left < area.right && tile.left + tile.width > area.left && tile.bottom < area.top && tile.bottom + tile.width > area.bottom)) tile.fresh = false;
    }
  }

  /** Draw a view {x, y, scale} (centre, px per unit) of a size in px; returns whether parts are missing. */
  draw(context, view, width, height, ratio) {
    if (!this.#view || this.#view.scale !== view.scale || this.#view.ratio !== ratio) this.#rescale(context.canvas, view, ratio, width, height);
    const side = SIDE / view.scale;
    const [left, top] = [view.x - width / 2 / view.scale, view.y + height / 2 / view.scale];
    const wanted = [];
    for (let row = Math.floor((top - height / view.scale) / side); row * side < top; row += 1) {
      for (let column = Math.floor(left / side); column * side < left + width / view.scale; column += 1) wanted.push([column, row]);
    }
    const missing = wanted.filter(([column, row]) => !this.#tiles.get(`${column} ${row}`)?.fresh);
    const begun = performance.now();
    while (missing.length && performance.now() - begun < BUDGET_MS) this.#make(...missing.shift(), side, view.scale, ratio);
    if (missing.length) this.#drawBefore(context, view, width, height);
    for (const [column, row] of wanted) {
      const tile = this.#tiles.get(`${column} ${row}`);
      if (tile) context.drawImage(tile.canvas, Math.round((column * side - left) * view.scale * ratio), Math.round((top - (row + 1) * side) * view.scale * ratio));
    }
    this.#letGo(wanted.length);
    return missing.length > 0;
  }

  #rescale(seen, view, ratio, width, height) {
    if (this.#view && this.#tiles.size && seen.width) {
      const canvas = new OffscreenCanvas(seen.width, seen.height);
      canvas.getContext("2d").drawImage(seen, 0, 0);
      this.#before = { canvas, view: this.#view.whole, width, height };
    }
    this.#tiles.clear();
    this.#view = { scale: view.scale, ratio };
  }

  /** Remember which view the canvas shows, for the next zoom. */
  shown(view) {
    this.#view.whole = { ...view };
  }

  #drawBefore(context, view, width, height) {
    const before = this.#before;
    if (!before?.view) return;
    const factor = view.scale / before.view.scale;
    const [w, h] = [before.canvas.width * factor, before.canvas.height * factor];
    const ratio = context.canvas.width / width;
    const x = (width / 2 + (before.view.x - view.x) * view.scale) * ratio - w / 2;
    const y = (height / 2 - (before.view.y - view.y) * view.scale) * ratio - h / 2;
    context.drawImage(before.canvas, x, y, w, h);
  }

  #make(column, row, side, scale, ratio) {
    const key = `${column} ${row}`;
    const canvas = this.#tiles.get(key)?.canvas ?? new OffscreenCanvas(Math.ceil(SIDE * ratio), Math.ceil(SIDE * ratio));
    const context = canvas.getContext("2d", { alpha: false });
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.paint(context, { left: column * side, bottom: row * side, width: side, height: side, scale }, SIDE);
    this.#tiles.delete(key);
    this.#tiles.set(key, { canvas, left: column * side, bottom: row * side, width: side, fresh: true });
  }

  #letGo(needed) {
    for (const key of this.#tiles.keys()) {
      if (this.#tiles.size <= Math.max(KEPT, needed)) return;
      this.#tiles.delete(key);
    }
  }
}
