/** The selection on the map: counts, pictures, and labels for all of it. */

import { ApiError, change, getJson, inWords, pathOf } from "./api.js";
import { GALAXY_ZOO } from "./desk-address.js";
import { deleteLabel } from "./desk-delete.js";
import { deskName } from "./desk-start.js";
import { field as csvField, save } from "./downloads.js";
import { h, labelled } from "./dom.js";
import { patiently } from "./loading.js";
import { CLASSES } from "./morphology.js";
import { notify, withdraw } from "./notices.js";
import { storedPicture } from "./pictures.js";
import { guarded } from "./unsent.js";

const SHOWN = 48; // pictures
const MOST = 500; // labels at a time
const OWN = "+"; // the choice of a new desk

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

export class Selection {
  #indexes = [];
  #desks = null;
  #stop = null; // stops labelling in progress
  #stopped = new Map(); // desk -> what was given there before labelling was stopped
  #running = 0; // labellings that were asked for and have not ended
  #last = Promise.resolve(); // labels are given and taken back one after the other

  /** `on` are {open(index), clear(), label(item, label)}; the last is called for labels of images of this visit. */
  constructor(points, signal, on) {
    Object.assign(this, { points, signal, on });
    this.told = h("p", { class: "selected", role: "status" });
    this.counts = h("p", { class: "note" });
    this.pictures = h("ul", { class: "selected-pictures" });
    this.desk = h("select", { onchange: () => this.#drawClasses() });
    this.name = h("input", { type: "text", maxlength: 40, autocomplete: "off", placeholder: "ring" });
    this.ownPlace = h("form", { class: "own-class", hidden: true, onsubmit: (event) => (event.preventDefault(), this.name.value.trim() && this.#label(this.name.value.trim())) },
      labelled("Class", this.name), h("button", { type: "submit" }, "Label"));
    this.choices = h("div", { class: "choices", role: "group", "aria-label": "Label all selected" });
    this.said = h("p", { class: "note", role: "status" });
    const csv = h("button", { type: "button", class: "quiet", onclick: () => this.#save() }, "CSV");
    const clear = h("button", { type: "button", class: "quiet", onclick: () => on.clear() }, "Clear selection");
    this.tools = h("div", { class: "selection-tools", hidden: true }, this.counts, this.pictures,
      h("div", { class: "controls" }, csv, clear), h("h3", {}, "Label them"), labelled("At the desk", this.desk), this.choices, this.ownPlace);
    this.element = h("aside", { class: "selection", "aria-label": "Selection" }, this.told, this.tools, this.said);
    signal.addEventListener("abort", () => this.#stop?.abort());
  }

  /** Whether labels are being given. */
  get isLabelling() {
    return this.#running > 0;
  }

  /** Show these objects. */
  show(indexes, hint) {
    this.#indexes = indexes;
    this.tools.hidden = !indexes.length;
    this.told.textContent = indexes.length ? `${plural(indexes.length, "galaxy").replace(/galaxys$/, "galaxies")} selected` : hint;
    if (!indexes.length) return;
    const counts = new Map();
    for (const index of indexes) counts.set(this.points.classes[index], (counts.get(this.points.classes[index]) ?? 0) + 1);
    this.counts.textContent = [...counts].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${count} ${name}`).join(", ");
    this.pictures.replaceChildren(...indexes.slice(0, SHOWN).map((index) => this.#picture(index)), ...(indexes.length > SHOWN ? [h("li", { class: "note" }, `and ${indexes.length - SHOWN} more`)] : []));
    if (!this.#desks) this.#fetchDesks();
  }

  #picture(index) {
    const item = this.points.items.get(index);
    const name = `${this.points.ids[index]}, ${this.points.classes[index]}`;
    const picture = item ? h("div", { class: "plate" }, h("img", { src: item.url, alt: "", width: 56, height: 56 })) : storedPicture(this.points.ids[index], 56);
    return h("li", {}, h("button", { type: "button", class: "neighbour", title: name, "aria-label": `Open ${name}`, onclick: () => this.on.open(index) }, picture));
  }

  async #fetchDesks() {
    this.#desks = [];
    const { desks } = await patiently(() => getJson("v1/desks", { signal: this.signal })).catch((error) => {
      if (error instanceof ApiError || error.name === "AbortError") return { desks: [] };
      throw error;
    });
    this.#desks = desks.filter(({ name }) => name !== GALAXY_ZOO);
    this.#drawDesks(GALAXY_ZOO);
  }

  #drawDesks(chosen) {
    const options = [[GALAXY_ZOO, "Galaxy Zoo classes"], ...this.#desks.map(({ name }) => [name, name]), [OWN, "a class of your own"]];
    this.desk.replaceChildren(...options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
    this.#drawClasses();
  }

  #drawClasses() {
    const desk = this.desk.value;
    const known = desk === GALAXY_ZOO ? CLASSES : Object.keys(this.#desks.find(({ name }) => name === desk)?.counts ?? {});
    this.choices.replaceChildren(...known.map((name) => h("button", { type: "button", class: "label-choice", onclick: () => this.#label(name) }, name)));
    this.ownPlace.hidden = desk === GALAXY_ZOO;
  }

  /** Label all selected objects, after what is under way: another label stops that, and takes over what it can take back. */
  #label(label) {
    const desk = this.desk.value === OWN ? deskName(label) : this.desk.value;
    const chosen = this.#indexes.map((index) => ({ item: this.points.items.get(index), objectId: this.points.ids[index] }));
    if (chosen.length > MOST) return void (this.said.textContent = `At most ${MOST} are labelled at a time; ${chosen.length.toLocaleString("en")} are selected.`);
    this.#stop?.abort();
    const { signal } = (this.#stop = new AbortController());
    this.#running += 1;
    this.#last = this.#last.then(() => this.#labelAll(label, desk, chosen, signal)).catch(reportError).finally(() => (this.#running -= 1));
  }

  /** One after the other; stored labels stay if a later one is refused. */
  async #labelAll(label, desk, chosen, signal) {
    const given = this.#stopped.get(desk) ?? new Map(); // as the server said: what the first label of each replaced
    this.#stopped.delete(desk);
    withdraw(`stopped ${desk}`);
    let [stored, uploads] = [0, 0];
    try {
      for (const { item, objectId } of chosen) {
        if (signal.aborted) break;
        if (item) {
          if (desk !== GALAXY_ZOO) continue;
          this.on.label(item, label);
          uploads += 1;
        } else {
          const one = await this.#store(desk, objectId, { label });
          if (!given.has(objectId)) given.set(objectId, one);
          stored += 1;
        }
        if (stored % 10 === 1) this.said.textContent = `Labelling: ${stored + uploads} of ${chosen.length}…`;
      }
      if (signal.aborted) return this.#tellStopped(label, desk, given, stored, chosen.length);
      this.#say(label, desk, given, { stored, uploads, count: chosen.length });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#sayWith(`${inWords(error)} ${stored} of ${chosen.length} were labelled before.`, desk, given);
    }
    if (given.size) this.#offer(desk, label, given.size);
  }

  #tellStopped(label, desk, given, stored, count) {
    this.#stopped.set(desk, given);
    if (!stored) return;
    if (this.signal.aborted) notify(`Labelling ended when you left the map: ${stored} of ${count} were labelled ${label}.`, { key: "selection" });
    else notify(`Another label stopped this one: ${stored} of ${count} were labelled ${label}.`, { key: `stopped ${desk}`, action: { label: "Take back", run: () => this.#beginTakingBack(desk, given) } });
  }

  /** A new desk joins the menu. */
  #offer(desk, label, count) {
    if (desk === GALAXY_ZOO || this.#desks.some(({ name }) => name === desk)) return;
    this.#desks.push({ name: desk, counts: { [label]: count } });
    this.#drawDesks(this.desk.value === OWN ? desk : this.desk.value);
  }

  #store(desk, objectId, { label, note }) {
    return guarded(() => patiently(() => change("POST", `${pathOf("desks", desk)}/labels`, { object_id: objectId, label, note })));
  }

  #say(label, desk, given, { stored, uploads, count }) {
    const left = count - stored - uploads;
    const parts = [stored && `${stored} labelled ${label}`, uploads && `${plural(uploads, "image")} of this visit labelled ${label} in this browser`,
      left && `${plural(left, "image")} of this visit left out: they take the Galaxy Zoo classes alone`];
    this.#sayWith(`${parts.filter(Boolean).join("; ")}.`, desk, given);
  }

  #sayWith(text, desk, given) {
    this.said.replaceChildren(text, " ", given.size ? h("button", { type: "button", class: "as-link", onclick: () => this.#beginTakingBack(desk, given) }, "Take back") : "");
  }

  #beginTakingBack(desk, given) {
    this.said.textContent = "Taking back…";
    this.#last = this.#last.then(() => this.#takeBack(desk, given)).catch(reportError);
  }

  /** Delete labels, or bring back those that they replaced. */
  async #takeBack(desk, given) {
    let taken = 0;
    try {
      for (const [objectId, { replaced }] of given) {
        if (replaced) await this.#store(desk, objectId, replaced);
        else await deleteLabel(desk, objectId);
        given.delete(objectId);
        taken += 1;
      }
      this.said.textContent = `${plural(taken, "label")} taken back.`;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#sayWith(`${inWords(error)} ${taken} were taken back.`, desk, given);
    }
  }

  #save() {
    const lines = [["object_id", "predicted_class"], ...this.#indexes.map((index) => [this.points.ids[index], this.points.classes[index]])];
    save(lines.map((line) => `${line.map(csvField).join(",")}\r\n`).join(""), "galclass-selection.csv", "text/csv");
  }
}
