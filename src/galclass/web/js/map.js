/** The view "Map": stored objects on a plane, by a model's embeddings, with the images of this visit among them. */

import { ApiError, change, getJson, inWords, ServerLost } from "./api.js";
import { Detail } from "./detail.js";
import { announce, h } from "./dom.js";
import { embed } from "./embeddings.js";
import { listenToPage } from "./intake.js";
import { labelSection, labelUpload } from "./label.js";
import { fill, patiently } from "./loading.js";
import { MapCanvas } from "./map-canvas.js";
import { Points } from "./map-points.js";
import { Selection } from "./map-selection.js";
import { Sheets } from "./map-sheets.js";
import { mapTools } from "./map-tools.js";
import { CLASSES, inFull, nameOf, percent } from "./morphology.js";
import { notify } from "./notices.js";
import { coloursOf } from "./palette.js";
import { pictureUrl, smallPicture } from "./pictures.js";
import { currentService } from "./service.js";
import { classifiedItem, fetchItem } from "./stored-item.js";
import { restored, store, takeImages } from "./visit.js";

const LOOK_MS = 1000; // between two checks of the embeddings while they are computed
const PICTURE_PX = 48; // of an image of this visit
const KEYS = "Arrow keys choose a galaxy, Shift and arrow keys move the map, + and − zoom, 0 shows all, Space selects, V selects everything in view, Enter opens, Escape clears the selection.";
const HINT = "Drag to move, turn the wheel to zoom. Shift and drag encloses galaxies to select; V selects everything in view.";

let kept = { model: "", view: null }; // kept while other views are open

/** The parameters of the address: {model, table, volunteers, predicted}. */
function ofAddress() {
  return Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? ""));
}

class MapView {
  #shown = new Set(); // classes; none: all
  #ending = null; // of the map that is drawn
  #turn = null; // of the map that was asked for last

  constructor(signal) {
    this.signal = signal;
    this.title = h("h1", { tabindex: -1 }, "Map");
    this.model = h("select", { "aria-label": "Model", onchange: () => this.#choose(this.model.value) });
    this.filling = h("div", { class: "desk-filling", hidden: true });
    this.place = h("div", { class: "map-place" });
    this.element = [h("div", { class: "view-head" }, this.title, h("div", { class: "actions" }, this.model)), this.filling, this.place];
    listenToPage(takeImages, signal);
    store.addEventListener("finish", () => this.#placeUploads(), { signal });
    for (const name of ["clear", "undo"]) store.addEventListener(name, () => this.#placeUploads(), { signal });
    this.#start();
  }

  #start() {
    const turn = (this.#turn = Symbol("map"));
    fill(this.place, async () => {
      const [{ models }, service] = await Promise.all([getJson("v1/models", { signal: this.signal }), currentService().catch((error) => (error instanceof ApiError ? null : Promise.reject(error)))]);
      if (!models.length) return h("p", { class: "nothing" }, "No model is registered; the map needs one. galclass register puts one into the registry.");
      const names = models.map(({ name, version }) => `${name}@${version}`);
      const wanted = [ofAddress().model, kept.model, service && `${service.model.name}@${service.model.version}`];
      this.reference = wanted.find((one) => names.includes(one)) ?? names.at(-1);
      if (wanted[0] && wanted[0] !== this.reference) notify(`${wanted[0]} is not registered: this is the map of ${this.reference}.`, { key: "map" });
      this.model.replaceChildren(...models.map(({ name, version }) => h("option", { value: `${name}@${version}`, selected: `${name}@${version}` === this.reference }, `Seen by ${name} ${version}`)));
      return this.#load(turn);
    }, this.signal);
  }

  #redraw() {
    const turn = (this.#turn = Symbol("map"));
    fill(this.place, () => this.#load(turn), this.signal);
  }

  /** A redraw that the reader did not ask for waits while a dialog is open or labels are given: it would end both. */
  #redrawWhenIdle() {
    if (document.querySelector("dialog[open]") || this.selection?.isLabelling) this.#reload();
    else this.#redraw();
  }

  #choose(reference) {
    clearTimeout(this.reloading);
    this.reloading = null;
    this.#ending?.abort();
    this.reference = reference;
    kept.view = null; // positions mean nothing on another map
    this.#redraw();
  }

  async #load(turn) {
    const map = await getJson(`v1/map?${new URLSearchParams({ model: this.reference })}`, { signal: this.signal });
    if (turn !== this.#turn) return null; // another map was asked for since, and may be drawn already
    kept.model = this.reference;
    this.#offerFilling(map);
    if (!map.object_id.length) return h("p", { class: "nothing" }, map.stored ? "This model has not processed the stored galaxies yet." : "No image is stored. galclass images add stores some; what you classify appears here, too.");
    return this.#build(map);
  }

  #build(map) {
    this.#ending?.abort();
    this.#ending = new AbortController();
    this.signal.addEventListener("abort", () => this.#ending.abort());
    const { signal } = this.#ending;
    const chosen = new Set(this.drawn === this.reference ? [...this.canvas.selected].map((index) => this.points.ids[index]) : []);
    this.drawn = this.reference;
    this.map = map;
    this.points = new Points(map);
    const names = [...new Set([...CLASSES.filter((name) => map.classes.includes(name)), ...map.classes])];
    this.colours = coloursOf([...new Set([...names, ...CLASSES])]);
    const sheets = new Sheets(map, this.reference, signal, { drawn: (number) => this.#spoilSheet(number), stale: () => this.#reload() });
    this.selection = new Selection(this.points, signal, { open: (index) => this.#open(index), clear: () => this.#select([], false), label: labelUpload });
    this.canvas = new MapCanvas(this.points, sheets, this.colours, signal, {
      select: (indexes, add) => this.#select(indexes, add), toggle: (index) => this.#toggle(index), clear: () => this.#select([], false),
      open: (index) => this.#open(index), moved: (index) => this.#tell(index),
    });
    this.canvas.view = kept.view;
    this.canvas.selected = new Set(this.points.ids.flatMap((id, index) => (chosen.has(id) ? [index] : [])));
    signal.addEventListener("abort", () => (kept.view = this.canvas.view));
    this.detail = new Detail(() => [], {
      sections: (item) => [labelSection(item, () => {})], pictureOf: (item) => (item.file ? item.url : pictureUrl(item.objectId)),
      closed: () => this.canvas.element.focus({ preventScroll: true }), openId: (objectId) => this.#openId(objectId),
    });
    this.current = h("p", { class: "map-current", "aria-live": "polite" });
    this.key = h("div", { class: "map-key", role: "group", "aria-label": "Classes shown" });
    for (const name of this.#shown) if (!names.includes(name)) this.#shown.delete(name);
    this.#drawKey(names);
    this.#filter(); // classes stay chosen from map to map, galaxies on the same one
    this.#tell(-1);
    this.#placeUploads();
    this.#showCell();
    return [h("div", { class: "map-main" }, h("figure", { class: "map-figure" }, this.key, h("div", { class: "map-ground" }, this.canvas.element, mapTools(this.canvas)), this.current, h("p", { id: "map-keys", class: "visually-hidden" }, KEYS)), this.selection.element), this.detail.element];
  }

  #spoilSheet(number) {
    const { pictures } = this.map.sheets;
    const [first, end] = [number * pictures, Math.min(this.points.stored, (number + 1) * pictures)];
    const [xs, ys] = [this.points.x.slice(first, end), this.points.y.slice(first, end)];
    const margin = 0.08;
    this.canvas.spoil({ left: Math.min(...xs) - margin, right: Math.max(...xs) + margin, bottom: Math.min(...ys) - margin, top: Math.max(...ys) + margin });
  }

  /** The server has another map: draw that one, where the reader was. */
  #reload() {
    if (this.reloading) return;
    this.reloading = setTimeout(() => {
      this.reloading = null;
      if (!this.signal.aborted) this.#redrawWhenIdle();
    }, LOOK_MS);
  }

  #drawKey(names) {
    const counts = new Map();
    for (const name of this.points.classes) counts.set(name, (counts.get(name) ?? 0) + 1);
    const shownAll = h("button", { type: "button", class: "quiet", hidden: !this.#shown.size, onclick: () => (this.#shown.clear(), this.#filter(), all[0].focus()) }, "Show all");
    const all = names.map((name) => h("button", { type: "button", class: "quiet map-class", "aria-pressed": String(this.#shown.has(name)), title: nameOf(name) || name, "aria-label": `${inFull(name)}: ${counts.get(name) ?? 0}`, onclick: (event) => {
      if (!this.#shown.delete(name)) this.#shown.add(name);
      event.currentTarget.setAttribute("aria-pressed", String(this.#shown.has(name)));
      this.#filter();
    } }, h("span", { class: "swatch", style: { background: this.colours[name] } }), h("b", {}, name), ` ${(counts.get(name) ?? 0).toLocaleString("en")}`));
    this.showAll = shownAll;
    this.keys = all.map((button, index) => [names[index], button]);
    const uploads = h("span", { class: "note uploads" });
    this.uploads = uploads;
    this.key.replaceChildren(...all, shownAll, uploads);
  }

  #filter() {
    const shown = this.#shown;
    this.canvas.passes = shown.size ? (index) => shown.has(this.points.classes[index]) : () => true;
    for (const [name, button] of this.keys) button.setAttribute("aria-pressed", String(shown.has(name)));
    this.showAll.hidden = !shown.size;
    if (this.canvas.current >= 0 && !this.canvas.passes(this.canvas.current)) this.canvas.moveTo(-1);
    this.#select([...this.canvas.selected].filter(this.canvas.passes), false);
  }

  #select(indexes, add) {
    this.canvas.selected = new Set(add ? [...this.canvas.selected, ...indexes] : indexes);
    this.canvas.spoil();
    const left = this.map.total > this.points.stored ? ` Of ${this.map.total.toLocaleString("en")} galaxies ${this.points.stored.toLocaleString("en")} are drawn.` : "";
    this.selection.show([...this.canvas.selected], HINT + left);
  }

  #toggle(index) {
    const selected = new Set(this.canvas.selected);
    if (!selected.delete(index)) selected.add(index);
    this.#select([...selected], false);
    this.#tell(index);
  }

  #tell(index) {
    if (index < 0) return void (this.current.textContent = "");
    const item = this.points.items.get(index);
    const cls = this.points.classes[index];
    const certainty = item ? ` ${percent(item.record.probabilities[cls])}` : "";
    this.current.replaceChildren(h("b", {}, cls), ` ${nameOf(cls)}${certainty}, ${item ? item.name : this.points.ids[index]}${this.canvas.selected.has(index) ? ", selected" : ""} `,
      h("button", { type: "button", class: "as-link", onclick: () => this.#open(index) }, "Open"));
  }

  async #open(index) {
    const item = this.points.items.get(index);
    if (item) return this.detail.open(item);
    return this.#openId(this.points.ids[index]);
  }

  #openId(objectId) {
    const { reference, signal } = this;
    return this.detail.openFetched(objectId, async () => (await fetchItem(objectId, reference, signal)) ?? classifiedItem(objectId, reference, signal));
  }

  /** Put those images of this visit on the map that this model classified. */
  async #placeUploads() {
    if (!this.points) return;
    await restored;
    await this.#drawUploads();
    if (this.embedding) return void (this.again = true);
    this.embedding = true;
    try {
      await embed(this.#mine(), { signal: this.#ending.signal, done: () => this.#drawUploads() });
    } finally {
      this.embedding = false;
    }
    if (this.again && !this.signal.aborted) (this.again = false, this.#placeUploads());
  }

  #mine() {
    return store.items.filter(({ record }) => record && record.model?.sha256 === this.map.model.sha256);
  }

  async #drawUploads() {
    if (this.#ending.signal.aborted) return;
    const { canvas } = this;
    const all = store.items.filter(({ record }) => record).length;
    const mine = this.#mine();
    const placed = mine.filter(({ embedding }) => embedding);
    this.#renumber(this.points.setUploads(placed));
    this.uploads.textContent = all ? `Yours: ${placed.length}${all > mine.length ? ` (${all - mine.length} by another model)` : ""}` : "";
    canvas.spoil();
    const missing = placed.filter(({ key }) => !canvas.pictures.has(key));
    await Promise.all(missing.map(async (item) => canvas.pictures.set(item.key, await smallPicture(item, PICTURE_PX))));
    if (missing.length) canvas.spoil();
  }

  /** Images of this visit came or went: selection and current object stay with their images. */
  #renumber(nowOf) {
    const { canvas } = this;
    const [chosen, current] = [[...canvas.selected], canvas.current];
    canvas.current = nowOf(current);
    if (chosen.some((index) => nowOf(index) !== index)) this.#select(chosen.map(nowOf).filter((index) => index >= 0), false);
    if (canvas.current !== current) this.#tell(canvas.current);
  }

  /** If embeddings are missing: how many, and a button to compute them. */
  #offerFilling(map) {
    const lacking = map.stored - map.embedded;
    this.filling.hidden = lacking <= 0;
    if (lacking <= 0) return;
    const begin = h("button", { type: "button", onclick: () => this.#compute() }, "Compute them");
    this.filling.replaceChildren(h("p", {}, `${lacking.toLocaleString("en")} of ${map.stored.toLocaleString("en")} stored galaxies are not on this map yet: the model has not processed them. `), begin);
  }

  async #compute() {
    const { reference } = this;
    const query = new URLSearchParams({ model: reference });
    const goesOn = () => !this.signal.aborted && reference === this.reference;
    this.title.focus({ preventScroll: true }); // the button goes
    try {
      let progress = await patiently(() => change("POST", `v1/embeddings?${query}`));
      while (progress.running && progress.done < progress.total && goesOn()) {
        this.filling.replaceChildren(h("progress", { max: progress.total, value: progress.done, "aria-label": "Images read" }), h("p", {}, `Reading images: ${progress.done.toLocaleString("en")} of ${progress.total.toLocaleString("en")}.`));
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        progress = await patiently(() => getJson(`v1/embeddings?${query}`, { signal: this.signal }));
      }
      if (goesOn()) this.#redrawWhenIdle();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError || error instanceof ServerLost)) throw error;
      if (goesOn()) this.filling.replaceChildren(h("p", { class: "fault", role: "alert" }, inWords(error)));
    }
  }

  /** Select the galaxies of a cell of a confusion matrix that the address names. */
  async #showCell() {
    const { table, volunteers, predicted } = ofAddress();
    if (!table) return;
    const { signal } = this.#ending;
    const found = await patiently(() => getJson(`v1/confusion?${new URLSearchParams({ model: this.reference, table, volunteers, predicted })}`, { signal: this.signal })).catch((error) => {
      if (error instanceof ApiError || error.name === "AbortError") return null;
      throw error;
    });
    if (!found || signal.aborted) return;
    const wanted = new Set(found.objects.map(({ object_id: id }) => id));
    const indexes = this.points.ids.flatMap((id, index) => (index < this.points.stored && wanted.has(id) ? [index] : []));
    this.#select(indexes, false);
    this.canvas.showThese(indexes);
    announce(`${indexes.length} of ${found.total} galaxies that volunteers call ${volunteers} and the model ${predicted} are on this map.`);
  }
}

/** Build the view; `signal` ends it. */
export function mapView(signal) {
  return new MapView(signal).element;
}
