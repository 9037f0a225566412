/** The images of this visit and their results; fires "change" a few times a second, immediately when the reader acts. */

import { EVERYTHING, ORDERS, passes } from "./filters.js";

/** The object id of a file, by the service's own rule: its name without folders and without the suffix of an image. */
export function idOfFile(name) {
  const base = name.replaceAll("\\", "/").split("/").at(-1);
  const id = base.replace(/(?<=.)\.(?:jpg|jpeg|jpe|jfif|png|bmp|dib|tif|tiff|webp|gif|heic|heif|avif|svg|jp2|jxl|(?:fits|fit|fts)(?:\.[gf]z)?|fz)$/is, "");
  return id.normalize("NFC") || "image";
}

const LEAST_MS = 200; // between two events not caused by the reader

/** States that an image does not leave by itself. */
export const FINISHED = new Set(["done", "rejected", "failed"]);

export class Store extends EventTarget {
  items = [];
  cleared = [];
  order = "added";
  filter = { ...EVERYTHING };
  #next = 0;
  #timer = null;
  #toldAt = -Infinity;

  /** Add files (or anything with the same fields) as waiting items; returns the items. */
  add(entries) {
    const added = entries.map(({ file, name, url = null, votes = null, framePx = null }) => this.#item({ file, name, url, votes, framePx }));
    this.items.push(...added);
    this.#say("add", { items: added });
    this.changed();
    return added;
  }

  #item({ file, name, number = this.#next, url = null, ...known }) {
    this.#next = Math.max(this.#next, number + 1);
    return {
      number, key: `image-${number}`, file, name, objectId: idOfFile(name), url: url ?? URL.createObjectURL(known.preview ?? file),
      votes: null, framePx: null, status: "waiting", version: 0, record: null, reason: "", service: null, scoredAt: null, converted: null, preview: null, labels: {}, embedding: null, ...known,
    };
  }

  /** Restore kept images; `cleared` are those that undo can still restore. */
  restore(items, cleared) {
    this.items = items.map((item) => this.#item({ ...item, labels: item.labels ?? {} }));
    this.cleared = cleared.map((item) => this.#item(item));
    this.changed();
  }

  /** Change an item and fire "change". */
  update(item, changes) {
    Object.assign(item, changes);
    item.version += 1;
    if (FINISHED.has(item.status)) this.#say("finish", { items: [item] });
    this.changed();
  }

  /** Set or remove an item's label. */
  setLabel(item, author, label) {
    const { [author]: before, ...others } = item.labels;
    item.labels = label ? { ...others, [author]: label } : others;
    item.version += 1;
    this.#say("label", { items: [item] });
    this.changed();
  }

  /** Show a picture instead of a file that the browser cannot draw. */
  setPreview(item, preview) {
    URL.revokeObjectURL(item.url);
    Object.assign(item, { preview, url: URL.createObjectURL(preview) });
    item.version += 1;
    this.#say("convert", { items: [item] });
    this.changed();
  }

  /** Replace a file by its converted form. */
  replaceFile(item, file, converted) {
    URL.revokeObjectURL(item.url);
    Object.assign(item, { file, converted, url: URL.createObjectURL(file) });
    item.version += 1;
    this.#say("convert", { items: [item] });
    this.changed();
  }

  /** Set all images aside; `undoClear` restores them until the next time. */
  clear() {
    for (const { url } of this.cleared) URL.revokeObjectURL(url);
    const gone = this.cleared;
    this.cleared = this.items;
    this.items = [];
    this.filter = { ...EVERYTHING };
    this.#say("clear", { items: this.cleared, gone });
    this.announceChange();
  }

  /** Restore what was cleared last; returns the unfinished images. */
  undoClear() {
    const back = this.cleared;
    this.items = [...back, ...this.items];
    this.cleared = [];
    this.#say("undo", { items: back });
    this.announceChange();
    return back.filter(({ status }) => !FINISHED.has(status));
  }

  /** Set the order. */
  sort(order) {
    this.order = order;
    this.announceChange();
  }

  /** Set some of the filters. */
  show(changes) {
    this.filter = { ...this.filter, ...changes };
    this.announceChange();
  }

  #say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Fire "change" soon: streaming results are drawn a few times a second. */
  changed() {
    const wait = Math.max(0, this.#toldAt + LEAST_MS - performance.now());
    this.#timer ??= setTimeout(() => this.announceChange(), wait);
  }

  announceChange() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#toldAt = performance.now();
    this.#say("change", {});
  }

  /** Whether any filter is set. */
  get filtered() {
    return Object.entries(EVERYTHING).some(([key, value]) => this.filter[key] !== value);
  }

  /** The items that pass the filters, in order. */
  visible() {
    const kept = this.items.filter((item) => passes(item, this.filter));
    return kept.sort((a, b) => ORDERS[this.order].compare(a, b) || a.number - b.number);
  }

  /** How many images are in each state, and in each class. */
  counts() {
    const states = { waiting: 0, sending: 0, done: 0, rejected: 0, failed: 0 };
    const classes = Object.create(null); // a class may be called "constructor"
    for (const item of this.items) {
      states[item.status] += 1;
      if (item.record) classes[item.record.predicted_class] = (classes[item.record.predicted_class] ?? 0) + 1;
    }
    return { states, classes, total: this.items.length };
  }
}
