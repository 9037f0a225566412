/** The ranked list of a desk: the most probable galaxies first, as a file, and the head as a model. */

import { ApiError, change, getJson, inWords, ServerLost } from "./api.js";
import { field as csvField, save } from "./downloads.js";
import { h, labelled } from "./dom.js";
import { fill, patiently } from "./loading.js";
import { percent } from "./morphology.js";
import { notify } from "./notices.js";
import { storedPicture } from "./pictures.js";

const SHOWN = 200;

export class RankedList {
  /** `work` is the desk; `open(objectId)` shows a galaxy to label it again. */
  constructor(work, open) {
    this.work = work;
    this.open = open;
    this.place = h("div");
    this.element = h("div", { class: "desk-ranked", hidden: true },
      h("div", { class: "actions" }, h("button", { type: "button", onclick: () => this.#save() }, "CSV"), h("button", { type: "button", onclick: () => this.#dialog() }, "Save as a model")), this.place);
  }

  show(shown) {
    this.element.hidden = !shown;
    if (shown) fill(this.place, () => this.#load(), this.work.signal);
  }

  async #load() {
    await this.work.settled();
    const { objects, total, target } = await getJson(`${this.work.path}/ranking?${this.work.parameters()}&limit=${SHOWN}`, { signal: this.work.signal });
    return [h("p", { class: "note" }, `The ${objects.length.toLocaleString("en")} most probable of ${total.toLocaleString("en")}. Click one to label it.`),
      h("ol", { class: "ranked" }, objects.map((one) => this.#cell(one, target)))];
  }

  #cell({ object_id: id, probability, label }, target) {
    const mark = label === null ? "" : label === target ? "✓" : "✗";
    const told = label === null ? "not labelled" : `labelled ${label}`;
    return h("li", {}, h("button", { type: "button", class: "ranked-cell", title: id, "aria-label": `${id}, ${percent(probability)}, ${told}`, onclick: () => this.open(id) },
      storedPicture(id, 96), h("span", { class: "line" }, h("span", {}, percent(probability)), h("span", { class: label === target ? "agrees" : "differs" }, mark))));
  }

  async #save() {
    await this.work.settled();
    const { objects } = await patiently(() => getJson(`${this.work.path}/ranking?${this.work.parameters()}&limit=2000`)).catch((error) => {
      if (!(error instanceof ApiError)) throw error;
      notify(inWords(error), { key: "desk" });
      return { objects: [] };
    });
    if (!objects.length) return;
    const lines = [["object_id", "probability", "label"], ...objects.map((one) => [one.object_id, one.probability, one.label ?? ""])];
    save(lines.map((line) => `${line.map(csvField).join(",")}\r\n`).join(""), `${this.work.wanted.desk}.csv`, "text/csv");
  }

  #dialog() {
    const before = document.activeElement;
    const field = (value) => h("input", { type: "text", value, maxlength: 64, autocomplete: "off", pattern: "[A-Za-z0-9][A-Za-z0-9_.\\-]*" });
    const [name, service] = [field(this.work.wanted.desk), field("")];
    name.required = true;
    const said = h("p", { class: "note", role: "status" });
    let saving = false;
    const send = async (event) => {
      event.preventDefault();
      if (saving) return; // a second version
      saving = true;
      said.textContent = "Saving…";
      const body = { model: this.work.wanted.model || "galaxy@production", name: name.value, ...(service.value && { service: service.value }) };
      try {
        await this.work.settled();
        const made = await change("POST", `${this.work.path}/model`, body);
        said.replaceChildren("Registered as ", h("a", { href: `#/models/${encodeURIComponent(made.name)}/${made.version}`, onclick: () => dialog.close() }, `${made.name} ${made.version}`),
          made.service ? `, published as ${made.service} ${made.service_version}.` : ".", made.limits.length ? ` ${made.limits.join("; ").replace(/^./, (one) => one.toUpperCase())}.` : "");
      } catch (error) {
        if (!(error instanceof ApiError || error instanceof ServerLost)) throw error;
        said.textContent = error instanceof ServerLost ? "The server did not respond: look under Models whether this was saved, and try again." : inWords(error);
      } finally {
        saving = false;
      }
      if (!said.isConnected) notify(said.textContent, { key: "desk-model" }); // the dialog was closed meanwhile
    };
    const dialog = h("dialog", { class: "small-dialog", "aria-labelledby": "save-title" }, h("form", { onsubmit: send },
      h("h2", { id: "save-title" }, "Save as a model"),
      h("p", { class: "note" }, "The desk's model and your labels become one model of your classes. If you name a service, it is published at once."),
      labelled("Name of the model", name), labelled("Publish as service (optional)", service), said,
      h("div", { class: "controls" }, h("button", { type: "submit", class: "primary" }, "Save"), h("button", { type: "button", onclick: () => dialog.close() }, "Close"))));
    dialog.addEventListener("close", () => (dialog.remove(), before?.isConnected && before.focus({ preventScroll: true })));
    document.body.append(dialog);
    dialog.showModal();
  }
}
