/** Everything about one image in a dialog with tabs; arrow keys walk through the images shown, from anywhere in it. */

import { ApiError, inWords } from "./api.js";
import { fullDistribution } from "./bars.js";
import { remarks, volunteers } from "./card.js";
import { announce, h } from "./dom.js";
import { ask, lazily, similarSections, whySections } from "./explain.js";
import { factsPanel } from "./facts.js";
import { labelKeys } from "./label.js";
import { groupOf, GROUP_NAMES, nameOf, percent } from "./morphology.js";
import { notify } from "./notices.js";
import { freePicture } from "./pictures.js";
import { Viewer } from "./viewer.js";
import { votesPanel } from "./votes.js";

const TABS = ["Why", "Votes", "Similar", "Facts"];

let tab = "Why"; // kept while the reader goes from image to image
let labelling = false; // whether class keys label; kept, too

export class Detail {
  #item = null;
  #turn = null; // of the last item that was opened, or is being fetched

  /** `neighbours()` returns the items that are shown; `options` are {sections(item), closed(item), openId(objectId), pictureOf(item)}. */
  constructor(neighbours, options = {}) {
    this.neighbours = neighbours;
    this.options = options;
    this.viewer = new Viewer();
    this.title = h("h2", { id: "detail-title", class: "class" });
    this.position = h("span", { class: "note position" });
    const button = (text, label, run, extra = {}) => h("button", { type: "button", class: "quiet", "aria-label": label, title: label, onclick: run, ...extra }, text);
    this.back = button("←", "Previous image (←)", () => this.#step(-1));
    this.on = button("→", "Next image (→)", () => this.#step(1));
    this.tabs = TABS.map((name, index) => h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "detail-panel", title: `${name} (${index + 1})`, onclick: () => this.#choose(name) }, name));
    this.panel = h("div", { id: "detail-panel", role: "tabpanel", tabindex: 0 });
    this.left = h("div", { class: "about" });
    this.head = h("header", { class: "detail-head" }, this.title,
      h("div", { class: "controls" }, this.position, this.back, this.on, h("button", { type: "button", class: "quiet", autofocus: true, onclick: () => this.element.close() }, "Close")),
      h("div", { class: "tabs", role: "tablist", "aria-label": "About this image" }, this.tabs));
    this.element = h("dialog", { class: "detail", "aria-labelledby": "detail-title" }, this.head,
      h("div", { class: "sheet-content halves" }, h("div", { class: "left" }, this.viewer.element, this.left), this.panel));
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("click", (event) => event.target === this.element && this.element.close());
    this.element.addEventListener("close", () => this.#item && options.closed?.(this.#item));
  }

  /** The item that is shown. */
  get item() {
    return this.#item;
  }

  open(item) {
    if (!this.element.open) this.element.showModal();
    this.#show(item);
    this.element.classList.toggle("labelling", labelling);
    this.element.scrollTop = 0;
  }

  /** Open the item that `fetch()` promises; not if the reader opens, shows or closes something else before it is here. */
  async openFetched(objectId, fetch) {
    const turn = (this.#turn = Symbol(objectId));
    const wasOpen = this.element.open; // the event "close" comes too late to tell: it may follow the next request
    try {
      const item = await fetch();
      if (turn !== this.#turn || !this.element.isConnected || (wasOpen && !this.element.open)) return;
      if (item) this.open(item);
      else notify(`${objectId} has no class from this model.`, { key: "object" });
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error;
      notify(inWords(error), { key: "object" });
    }
  }

  #key(event) {
    if (event.target.matches("input:not([type=checkbox]), textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    if (event.target.matches("select") && key.startsWith("Arrow")) return;
    const named = labelling && labelKeys(this.#item).find(([one]) => one === key.toLowerCase());
    if (named) {
      event.preventDefault();
      return event.repeat ? null : this.#label(named[1]); // a key held down would label one image after the other
    }
    const run = {
      ArrowLeft: () => this.#step(-1), ArrowRight: () => this.#step(1), "+": () => this.viewer.zoom(1), "-": () => this.viewer.zoom(-1),
      l: () => this.#setLabelling(!labelling), i: () => this.viewer.toggleInvert(), s: () => this.viewer.nextStretch(),
      ...Object.fromEntries(TABS.map((name, index) => [String(index + 1), () => this.#choose(name)])),
    }[key.length === 1 ? key.toLowerCase() : key];
    if (!run) return;
    event.preventDefault();
    run();
  }

  #setLabelling(on) {
    labelling = on && Boolean(this.left.querySelector(".label"));
    this.element.classList.toggle("labelling", labelling);
    announce(labelling ? "Class keys now label; L stops." : "Keys choose tabs again.");
  }

  /** Press the button of a class, then show the next image; an image of this visit that has the label keeps it. */
  #label(cls) {
    const item = this.#item;
    const button = [...this.left.querySelectorAll(".label-choice")].find(({ dataset }) => dataset.label === cls);
    if (!item.file || button?.getAttribute("aria-pressed") === "false") button?.click();
    if (this.#item === item) this.#step(1);
  }

  #step(step) {
    const items = this.neighbours().filter((item) => item.record);
    const index = items.findIndex(({ key }) => key === this.#item.key);
    const next = items[index + step];
    if (index >= 0 && next) this.#show(next); // an object from elsewhere has no neighbours here
  }

  #choose(name) {
    tab = name;
    this.#fillPanel();
  }

  /** Redraw the parts that may show a changed item; the focus is kept. */
  refresh(item) {
    if (this.#item === item && tab === "Facts") this.#fillPanel();
  }

  #show(item) {
    this.#turn = null;
    this.#item = item;
    const { record } = item;
    const cls = record.predicted_class;
    this.title.className = `class group-${groupOf(cls)}`;
    this.title.replaceChildren(h("span", { class: "code" }, cls), " ", h("span", { class: "name" }, [nameOf(cls), percent(record.probabilities[cls])].filter(Boolean).join(", ")));
    const items = this.neighbours().filter((one) => one.record);
    const index = items.findIndex(({ key }) => key === item.key);
    this.position.textContent = index < 0 ? "" : `${index + 1} of ${items.length}`;
    for (const [button, there] of [[this.back, index > 0], [this.on, index >= 0 && index < items.length - 1]]) button.setAttribute("aria-disabled", String(!there)); // disabled buttons would lose the focus
    this.#showPicture();
    this.left.replaceChildren(...[record.predicted_group && h("p", { class: "group-line" }, `Group: ${GROUP_NAMES[record.predicted_group] ?? record.predicted_group}`), volunteers(item), remarks(record), ...(this.options.sections?.(item) ?? [])].filter(Boolean));
    this.#fillPanel();
  }

  #showPicture() {
    const item = this.#item;
    this.viewer.show(null, "");
    Promise.resolve(this.options.pictureOf?.(item) ?? item.url).then((url) => (this.#item === item ? this.viewer.show(url, `Image of ${item.name}`) : freePicture(url)));
  }

  /** Some items have other pictures now. */
  refreshPicture(items) {
    if (this.element.open && items.includes(this.#item)) this.#showPicture();
  }

  #fillPanel() {
    const hadFocus = this.panel.contains(document.activeElement);
    this.tabs.forEach((button, index) => button.setAttribute("aria-selected", String(TABS[index] === tab)));
    this.panel.setAttribute("aria-labelledby", `tab-${tab}`);
    this.panel.dataset.tab = tab;
    this.panel.replaceChildren(...this.#content().flat(Infinity).filter(Boolean));
    if (hadFocus) this.panel.focus({ preventScroll: true });
  }

  #content() {
    const item = this.#item;
    const { record } = item;
    if (tab === "Votes") return item.file ? votesPanel(record, item.votes?.fractions) : [lazily("stored-votes", async () => votesPanel(Object.keys(record.vote_fractions ?? {}).length ? record : (await ask(item, "explain")).prediction, item.votes?.fractions))];
    if (tab === "Similar") return similarSections(item, this.options.openId, (other) => this.#show(other));
    if (tab === "Facts") return [factsPanel(item)];
    return [h("div", { class: "spread-block" }, fullDistribution(record)), ...whySections(item, this.options.openId)];
  }
}
