/** The objects of the map: positions, classes, a grid to find them, and the position of a later embedding. */

const CELLS = 48; // of the grid along a side
const WIDE = 1.4; // of the map, whose height is 1

/** The position of an embedding by the server's axes: x to the right, y up, in the units of the map. */
export function placeOf(axes, embedding) {
  const [x, y] = axes.map(({ weights, offset, values, places }) => {
    const value = weights.reduce((sum, weight, index) => sum + weight * embedding[index], offset);
    const after = values.findIndex((one) => one >= value);
    if (after === 0) return places[0];
    if (after < 0) return places.at(-1);
    const width = values[after] - values[after - 1];
    return places[after - 1] + (width ? ((value - values[after - 1]) / width) * (places[after] - places[after - 1]) : 0);
  });
  return [x * WIDE, y];
}

export class Points {
  /** `map` is the server's response. */
  constructor(map) {
    this.axes = map.axes;
    this.stored = map.object_id.length;
    this.ids = [...map.object_id];
    this.x = map.x.map((x) => x * WIDE);
    this.y = [...map.y];
    this.classes = map.predicted_class.map((index) => map.classes[index]);
    this.items = new Map(); // index -> image of this visit
    this.#fillGrid();
  }

  /** The size of the map: [width, height]. */
  static get size() {
    return [WIDE, 1];
  }

  get length() {
    return this.ids.length;
  }

  /**
   * Add images of this visit to the stored objects, replacing those added before: those that stay keep their order.
   * Returns a function from an index before to the index now, -1 for an image that is gone.
   */
  setUploads(items) {
    const before = this.items;
    const wanted = new Set(items);
    const ordered = new Set([...[...before.values()].filter((item) => wanted.has(item)), ...items]);
    for (const list of [this.ids, this.x, this.y, this.classes]) list.length = this.stored;
    this.items = new Map();
    const indexes = new Map();
    if (this.axes.length) {
      for (const item of ordered) {
        const [x, y] = placeOf(this.axes, item.embedding);
        this.items.set(this.ids.length, item);
        indexes.set(item, this.ids.length);
        this.ids.push(item.objectId);
        this.x.push(x);
        this.y.push(y);
        this.classes.push(item.record.predicted_class);
      }
    }
    this.#fillGrid();
    return (index) => (index < this.stored ? index : indexes.get(before.get(index)) ?? -1);
  }

  #fillGrid() {
    this.grid = Array.from({ length: CELLS * CELLS }, () => []);
    for (let index = 0; index < this.length; index += 1) this.grid[this.#cell(this.y[index], 1) * CELLS + this.#cell(this.x[index], WIDE)].push(index);
  }

  #cell(value, side) {
    return Math.max(0, Math.min(CELLS - 1, Math.floor((value / side) * CELLS)));
  }

  /** Indexes of the objects within a rectangle, in rising order. */
  within(left, bottom, right, top) {
    const found = [];
    for (let row = this.#cell(bottom, 1); row <= this.#cell(top, 1); row += 1) {
      for (let column = this.#cell(left, WIDE); column <= this.#cell(right, WIDE); column += 1) {
        for (const index of this.grid[row * CELLS + column]) {
          if (this.x[index] >= left && this.x[index] <= right && this.y[index] >= bottom && this.y[index] <= top) found.push(index);
        }
      }
    }
    return found.sort((a, b) => a - b);
  }

  /** The object nearest to a position and no farther than `reach`, of those that `keep` accepts; -1: none. */
  nearest(x, y, reach, keep) {
    let [found, least] = [-1, reach * reach];
    for (const index of this.within(x - reach, y - reach, x + reach, y + reach)) {
      const distance = (this.x[index] - x) ** 2 + (this.y[index] - y) ** 2;
      if (distance <= least && keep(index)) [found, least] = [index, distance];
    }
    return found;
  }

  /** The next object in a direction [dx, dy], within 45° of it; -1: none. */
  next(from, [dx, dy], keep) {
    let [found, least] = [-1, Infinity];
    for (let index = 0; index < this.length; index += 1) {
      const [x, y] = [this.x[index] - this.x[from], this.y[index] - this.y[from]];
      const along = x * dx + y * dy;
      if (index === from || along <= 0 || Math.abs(x * dy - y * dx) > along) continue;
      const distance = x * x + y * y;
      if (distance < least && keep(index)) [found, least] = [index, distance];
    }
    return found;
  }

  /** Indexes of the objects inside a closed line of [x, y]. */
  inside(line) {
    const [xs, ys] = [line.map(([x]) => x), line.map(([, y]) => y)];
    const around = this.within(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
    return around.filter((index) => {
      let inside = false;
      for (let at = 0, before = line.length - 1; at < line.length; before = at, at += 1) {
        const [[ax, ay], [bx, by]] = [line[at], line[before]];
        if (ay > this.y[index] !== by > this.y[index] && this.x[index] < ((bx - ax) * (this.y[index] - ay)) / (by - ay) + ax) inside = !inside;
      }
      return inside;
    });
  }
}
