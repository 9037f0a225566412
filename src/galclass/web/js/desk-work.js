/** A label desk at work: the picture left, the keys right; each key gives a label and shows the next galaxy. */

import { ApiError, getJson, inWords, pathOf } from "./api.js";
import { addressOfDesk, GALAXY_ZOO } from "./desk-address.js";
import { deleteLabel } from "./desk-delete.js";
import { computeEmbeddings } from "./desk-filling.js";
import { keysOf, reservedKeys } from "./desk-keys.js";
import { RankedList } from "./desk-ranked.js";
import { beforeText, estimateText, nothingText, progressText } from "./desk-words.js";
import { announce, h, once } from "./dom.js";
import { patiently } from "./loading.js";
import { CLASSES, CLASS_NAMES, groupOf } from "./morphology.js";
import { notify } from "./notices.js";
import { freePicture, pictureUrl } from "./pictures.js";
import { guarded } from "./unsent.js";
import { Viewer } from "./viewer.js";

const QUEUE = 30; // this many keys can be pressed before the server has sent the next galaxies
const SHORT = 5; // a queue that is requested again
const SKIPPED = 150; // sent to the server

let last = Promise.resolve(); // labels are sent one after the other, in order, also those of a desk that was left

export class DeskWork {
  #state = null;
  #queue = [];
  #current = null; // {object_id, probabilities}
  #sent = new Set(); // labels not yet known to the server, as in the history
  #refused = []; // galaxies whose label the server refused, with their notes: they come next
  #skipped = [];
  #history = []; // labels of this visit: {objectId, replaced}, the latter as the server said
  #pending = 0; // requests of keys that were pressed
  #undone = new Set(); // not labelled again since
  #asked = 0; // counts requests for the state
  #drawn = 0; // the one whose response is shown

  /** `wanted` is {desk, target, classes, model}. */
  constructor(wanted, signal) {
    this.wanted = wanted;
    this.signal = signal;
    this.path = pathOf("desks", wanted.desk);
    this.viewer = new Viewer();
    this.title = h("h1", { tabindex: -1 }, wanted.desk === GALAXY_ZOO ? "Galaxy Zoo classes" : wanted.target);
    this.name = h("p", { class: "note object-name" });
    this.before = h("p", { class: "desk-before", role: "status" });
    this.keys = h("div", { class: "desk-keys", role: "group", "aria-label": "Class" });
    this.note = h("textarea", { rows: 1, maxlength: 500, placeholder: "Note (N)", "aria-label": "Note for this galaxy", onkeydown: (event) => event.key === "Escape" && this.title.focus() });
    this.progress = h("p", { class: "desk-progress" });
    this.estimate = h("p", { class: "note desk-estimate" });
    this.filling = h("div", { class: "desk-filling", hidden: true });
    this.ranked = new RankedList(this, (objectId) => this.#showAgain(objectId));
    this.modes = ["Label", "Ranked list"].map((text, index) => h("button", { type: "button", class: "quiet", "aria-pressed": String(!index), onclick: () => this.#mode(Boolean(index)) }, text));
    const button = (text, keys, run) => h("button", { type: "button", class: "quiet", onclick: once(run) }, text, h("kbd", {}, keys));
    this.others = h("div", { class: "desk-others", role: "group", "aria-label": "Other actions" },
      button("Skip", "Space", () => this.skip()), button("Undo", "⌫", () => this.undo()), button("Cannot tell", "X", () => this.answer(null)), button("Full screen", "F", () => this.#fullScreen()));
    this.working = h("div", { class: "desk-main" }, h("div", { class: "desk-left" }, this.viewer.element, this.name),
      h("div", { class: "desk-right" }, this.keys, this.others, this.note, this.before, this.progress, this.estimate));
    this.element = h("section", { class: "desk", "aria-label": "Label desk" },
      h("header", { class: "desk-head" }, this.title, h("div", { class: "modes", role: "group", "aria-label": "View" }, this.modes), h("a", { href: "#/label" }, "All desks")),
      this.filling, this.working, this.ranked.element);
    document.addEventListener("keydown", (event) => this.#key(event), { signal });
    signal.addEventListener("abort", () => document.fullscreenElement && document.exitFullscreen());
    this.#drawKeys();
    this.#start();
  }

  /** All classes, the target first. */
  get classes() {
    if (this.wanted.desk === GALAXY_ZOO) return CLASSES;
    return [...new Set([this.wanted.target, ...this.wanted.classes, ...Object.keys(this.#state?.counts ?? {})])];
  }

  /** Parameters of every request to the server. */
  parameters(extra = []) {
    const { target, model, classes } = this.wanted;
    return new URLSearchParams([["target", target], ...(model ? [["model", model]] : []), ...extra, ...(extra.length ? classes.map((name) => ["classes", name]) : [])]);
  }

  async #start() {
    await last;
    await this.#try(() => this.refresh());
    if (this.#state && this.#state.embeddings.done < this.#state.embeddings.total) await this.#try(() => computeEmbeddings(this, () => this.#current || this.refresh()));
  }

  /** Request the state of the desk and the next galaxies. */
  async refresh() {
    const extra = [["count", QUEUE], ...this.#skipped.slice(-SKIPPED).map((id) => ["skipped", id])];
    const turn = (this.#asked += 1);
    const state = await patiently(() => getJson(`${this.path}?${this.parameters(extra)}`, { signal: this.signal }));
    if (this.signal.aborted || turn < this.#drawn) return; // a later request was faster
    this.#drawn = turn;
    this.#state = state;
    const done = new Set([...[...this.#sent, ...this.#history, ...this.#refused].map((one) => one.objectId ?? one.object_id), this.#current?.object_id]); // the response may be older than the last keys
    const open = state.queue.filter(({ object_id: id }) => !done.has(id));
    const fresh = open.filter(({ object_id: id }) => !this.#skipped.includes(id));
    this.#queue = fresh.length ? fresh : open;
    if (!this.#current) this.#next();
    this.#draw();
  }

  /** Label the galaxy shown; null: cannot tell. */
  answer(label) {
    const shown = this.#current;
    if (!shown || !this.working.checkVisibility()) return;
    const entry = { objectId: shown.object_id, replaced: null };
    const note = this.note.value.trim() || null; // the server keeps an earlier note
    this.#sent.add(entry);
    this.#undone.delete(shown.object_id);
    this.#history.push(entry);
    this.#tell(shown, label);
    this.#then(async () => {
      entry.replaced = (await this.#store(shown.object_id, label, note)).replaced;
      this.#sent.delete(entry);
      if (!this.#sent.size || this.#queue.length < SHORT) await this.refresh(); // else the last request in flight does it
    }, () => this.#onRefusal(entry, { ...shown, note }));
    this.#next();
  }

  /** A galaxy whose label was refused comes next, not at once: the reader's key and note are for the one that is shown. */
  #onRefusal(entry, shown) {
    const { objectId } = entry;
    const isUndone = !this.#history.includes(entry); // and was shown again for that
    entry.refused = true;
    this.#sent.delete(entry);
    this.#history = this.#history.filter((one) => one !== entry);
    if (isUndone || this.#current?.object_id === objectId || [...this.#sent].some((one) => one.objectId === objectId)) return;
    this.#refused.push(shown);
    this.before.textContent = this.#current ? `${objectId} is not labelled; it comes next.` : "";
    if (!this.#current) this.#next();
  }

  /** Resolved once the labels given so far are stored. */
  settled() {
    return last;
  }

  /** Run after everything before it, whether that succeeded or not. */
  #then(run, failed) {
    this.#pending += 1;
    last = last.then(() => guarded(() => this.#try(run, failed))).catch(reportError).then(() => {
      this.#pending -= 1;
      if (!this.#current && this.#state) this.name.textContent = nothingText(this.#state, this.#pending);
    });
  }

  #store(objectId, label, note) {
    const body = JSON.stringify({ object_id: objectId, label, note });
    return patiently(() => getJson(`${this.path}/labels`, { method: "POST", body, headers: { "Content-Type": "application/json" } }));
  }

  skip() {
    if (!this.#current) return;
    this.#skipped.push(this.#current.object_id);
    this.before.textContent = "Skipped; it returns when nothing else is left.";
    if (this.#queue.length <= SHORT) this.#then(() => this.refresh());
    this.#next();
  }

  /** Undo the newest label and show its galaxy again: at once if it is known here, so that the next key means this galaxy. */
  undo() {
    const newest = this.#history.pop() ?? this.#earlier();
    if (!newest) return this.#then(() => this.#undoEarlier());
    this.#undone.add(newest.objectId);
    this.#showUndone(newest.objectId);
    this.#then(() => this.#takeBack(newest), () => (this.#undone.delete(newest.objectId), this.#history.push(newest)));
  }

  /** The newest label of an earlier visit, as the server said. */
  #earlier() {
    const found = this.#state?.mine.find(({ object_id: id }) => !this.#undone.has(id));
    return found && { objectId: found.object_id, replaced: null };
  }

  async #undoEarlier() {
    const objectId = this.#state?.mine[0]?.object_id;
    if (!objectId) return void (this.before.textContent = "There is nothing to undo.");
    await this.#takeBack({ objectId, replaced: null });
    this.#showUndone(objectId);
  }

  async #takeBack({ objectId, replaced, refused = false }) {
    if (refused) return; // it was never stored
    if (replaced) await this.#store(objectId, replaced.label, replaced.note);
    else await deleteLabel(this.wanted.desk, objectId);
    await this.refresh();
  }

  #showUndone(objectId) {
    this.#show({ object_id: objectId, probabilities: null });
    this.before.textContent = "Undone. What is it?";
  }

  /** Run; a refusal is shown, and `failed` restores the former state. */
  async #try(run, failed = () => {}) {
    try {
      await run();
    } catch (error) {
      if (error.name === "AbortError") return;
      failed();
      if (!(error instanceof ApiError)) throw error;
      notify(inWords(error), { key: "desk" });
    }
  }

  #tell(shown, label) {
    this.before.replaceChildren(...beforeText(shown, label));
    announce(`${label ?? "cannot tell"}.`);
  }

  #next() {
    this.#show(this.#refused.shift() ?? this.#queue.shift() ?? null);
  }

  #showAgain(objectId) {
    this.#mode(false);
    this.#show({ object_id: objectId, probabilities: null });
    this.title.focus({ preventScroll: true });
  }

  #show(next) {
    const id = next?.object_id;
    this.#current = next;
    this.#refused = this.#refused.filter((one) => one.object_id !== id);
    this.note.value = next?.note ?? ""; // a note is about one galaxy
    this.element.classList.toggle("empty", !next);
    this.name.textContent = next ? id : this.#state ? nothingText(this.#state, this.#pending) : "";
    this.viewer.show(null, "");
    if (next) pictureUrl(id).then((url) => (this.#current === next ? this.viewer.show(url, `Image of ${id}`) : freePicture(url)));
    for (const { object_id: ahead } of this.#queue.slice(0, 2)) new Image().src = pathOf("images", ahead); // so that the next appears immediately
  }

  #draw() {
    this.#drawKeys();
    this.progress.replaceChildren(...progressText(this.#state));
    this.estimate.textContent = estimateText(this.#state);
    if (!this.#current) this.name.textContent = nothingText(this.#state, this.#pending);
  }

  #drawKeys() {
    const keys = keysOf(this.classes);
    const shape = JSON.stringify(keys);
    if (this.keys.dataset.shape !== shape) {
      this.keys.dataset.shape = shape;
      const zoo = this.wanted.desk === GALAXY_ZOO;
      this.keys.replaceChildren(...keys.map(([key, name]) => h("button", { type: "button", class: `desk-key ${zoo ? `group-${groupOf(name)}` : ""}`, "data-class": name, title: zoo ? CLASS_NAMES[name] : null, onclick: once(() => this.answer(name)) },
        h("kbd", {}, key.toUpperCase()), h("span", { class: "what" }, name), h("span", { class: "count" }))), ...(zoo ? [] : [this.#adder()]));
    }
    for (const button of this.keys.querySelectorAll(".desk-key")) button.querySelector(".count").textContent = this.#state?.counts[button.dataset.class] || "";
  }

  #adder() {
    const field = h("input", { type: "text", maxlength: 40, placeholder: "Another class", "aria-label": "Another class", autocomplete: "off" });
    return h("form", { class: "desk-add", onsubmit: (event) => {
      event.preventDefault();
      const name = field.value.trim();
      if (!name || this.classes.includes(name)) return;
      this.wanted.classes = [...this.wanted.classes, name];
      history.replaceState(null, "", addressOfDesk(this.wanted));
      this.#drawKeys();
      this.title.focus({ preventScroll: true });
    } }, field, h("button", { type: "submit", class: "quiet" }, "Add"));
  }

  #mode(ranked) {
    this.modes.forEach((button, index) => button.setAttribute("aria-pressed", String(Boolean(index) === ranked)));
    this.working.hidden = ranked;
    this.ranked.show(ranked);
  }

  #fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.element.requestFullscreen?.().catch(() => notify("This browser does not allow full screen here.", { key: "desk" }));
  }

  #key(event) {
    if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (document.querySelector("dialog[open]") || event.defaultPrevented) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === " " && event.target.matches("button, a, summary")) event.target.blur(); // Space skips, whatever was clicked last
    const named = keysOf(this.classes).find(([one]) => one === key);
    const run = named ? () => this.answer(named[1]) : reservedKeys({
      skip: () => this.skip(), undo: () => this.undo(), untold: () => this.answer(null), note: () => this.note.focus(), list: () => this.#mode(!this.working.hidden),
      full: () => this.#fullScreen(), invert: () => this.viewer.toggleInvert(), stretch: () => this.viewer.nextStretch(), zoom: (steps) => this.viewer.zoom(steps),
    })[key];
    if (!run) return;
    event.preventDefault();
    run();
  }
}
