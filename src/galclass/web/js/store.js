/** The images of this visit and what is known of them; says "change" at most once a frame. */

import { CLASSES } from "./morphology.js";

/** Ways to put the images in order, by name. */
export const ORDERS = {
  added: { label: "Order added", compare: (a, b) => a.number - b.number },
  certain: { label: "Most certain first", compare: (a, b) => certainty(b) - certainty(a) },
  uncertain: { label: "Least certain first", compare: (a, b) => certainty(a, 2) - certainty(b, 2) },
  class: { label: "Class", compare: (a, b) => rank(a) - rank(b) },
  name: { label: "File name", compare: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }) },
};

/** Ways to filter by the largest probability. */
export const CERTAINTIES = {
  any: { label: "Any certainty", keep: () => true },
  sure: { label: "80 % and more", keep: (item) => certainty(item) >= 0.8 },
  fair: { label: "50 % and more", keep: (item) => certainty(item) >= 0.5 },
  unsure: { label: "Under 50 %", keep: (item) => item.status === "done" && certainty(item) < 0.5 },
  rejected: { label: "Rejected files", keep: (item) => item.status === "rejected" },
};

function certainty(item, missing = -1) {
  return item.record ? item.record.probabilities[item.record.predicted_class] : missing;
}

function rank(item) {
  return item.record ? CLASSES.indexOf(item.record.predicted_class) : CLASSES.length;
}

/** The object id of a file, by the service's own rule: its name without folders and without the suffix of an image. */
export function idOfFile(name) {
  const base = name.replaceAll("\\", "/").split("/").at(-1);
  const id = base.replace(/(?<=.)\.(?:jpg|jpeg|jpe|jfif|png|bmp|dib|tif|tiff|webp|gif|heic|heif|avif|svg|jp2|jxl|fits|fit|fts)$/is, "");
  return id.normalize("NFC") || "image";
}

export class Store extends EventTarget {
  items = [];
  order = "added";
  certainty = "any";
  chosenClass = null;
  #frame = null;

  /** Take in files (or anything with the same fields) as waiting items and give the items. */
  add(entries) {
    const first = this.items.length;
    const added = entries.map(({ file, name, url = null, votes = null, framePx = null }, index) => ({
      number: first + index,
      key: `image-${first + index}`,
      file,
      name,
      objectId: idOfFile(name),
      votes,
      framePx,
      url: url ?? URL.createObjectURL(file),
      status: "waiting",
      version: 0,
      record: null,
      reason: "",
    }));
    this.items.push(...added);
    this.changed();
    return added;
  }

  /** Change an item and say so. */
  update(item, changes) {
    Object.assign(item, changes);
    item.version += 1;
    this.changed();
  }

  /** Forget all images. */
  clear() {
    for (const item of this.items) if (item.url.startsWith("blob:")) URL.revokeObjectURL(item.url);
    this.items = [];
    this.chosenClass = null;
    this.certainty = "any";
    this.changed();
  }

  /** Set order, certainty or chosenClass. */
  show(changes) {
    Object.assign(this, changes);
    this.changed();
  }

  changed() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.dispatchEvent(new Event("change"));
    });
  }

  /** The items that pass the filters, in order. */
  visible() {
    const { keep } = CERTAINTIES[this.certainty];
    const kept = this.items.filter((item) => keep(item) && (!this.chosenClass || item.record?.predicted_class === this.chosenClass));
    return kept.sort((a, b) => ORDERS[this.order].compare(a, b) || a.number - b.number);
  }

  /** How many images are in each state, and in each class. */
  counts() {
    const states = { waiting: 0, sending: 0, done: 0, rejected: 0 };
    const classes = {};
    for (const item of this.items) {
      states[item.status] += 1;
      if (item.record) classes[item.record.predicted_class] = (classes[item.record.predicted_class] ?? 0) + 1;
    }
    return { states, classes, total: this.items.length };
  }
}
