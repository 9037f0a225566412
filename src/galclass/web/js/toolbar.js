/** The controls over the results: tally, filters, order, view, downloads, Clear. */

import { h, labelled } from "./dom.js";
import { downloads } from "./downloads.js";
import { agreement, CERTAINTIES, EVERYTHING, flagsOf, ORDERS } from "./filters.js";
import { flagText, groupOf, GROUPS, GROUP_NAMES } from "./morphology.js";

const IDLE = "Nothing classified yet.";
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** The outcome for the images, in words. */
export function progressText({ states, total }, shown) {
  if (!total) return IDLE;
  const ended = states.done + states.rejected + states.failed;
  const parts = [ended < total ? `${ended} of ${total} finished` : `${states.done} classified`];
  if (states.rejected) parts.push(`${states.rejected} rejected`);
  if (states.failed) parts.push(`${states.failed} not classified`);
  if (shown < total) parts.push(`${shown} shown`);
  return parts.join(", ");
}

/** On how many examples volunteers and model agree, in words. */
export function agreementText(items) {
  const said = items.map(agreement).filter((one) => one !== null);
  return said.length ? `Volunteers agree on ${said.filter(Boolean).length} of ${plural(said.length, "example")}` : "";
}

function menu(label, choices, value, onchoose) {
  const options = Object.entries(choices).map(([key, text]) => h("option", { value: key, selected: key === value }, text));
  return h("select", { "aria-label": label, onchange: (event) => onchoose(event.target.value) }, options);
}

const labels = (table) => Object.fromEntries(Object.entries(table).map(([key, { label }]) => [key, label]));

export class Toolbar {
  #flags = "";
  #own = "";

  /** `actions` are {clear, retry, setMode}; `intake` the controls that add images. */
  constructor(store, mode, actions, intake) {
    this.store = store;
    this.count = h("p", { class: "tally" }, IDLE);
    this.agreement = h("p", { class: "agreement" });
    this.bar = h("progress", { class: "idle", max: 1, value: 0, "aria-label": "Images finished" });
    this.all = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => store.show(EVERYTHING) }, "Show all");
    this.retry = h("button", { type: "button", hidden: true, onclick: actions.retry }, "Retry");
    this.group = menu("Group", { "": "All groups", ...Object.fromEntries(Object.keys(GROUPS).map((group) => [group, GROUP_NAMES[group]])) }, store.filter.group, (group) => store.show({ group }));
    this.own = menu("Class", {}, "", (cls) => store.show({ cls: cls || null }));
    this.certainty = menu("Certainty", labels(CERTAINTIES), store.filter.certainty, (certainty) => store.show({ certainty }));
    this.flag = menu("Flags", {}, "", (flag) => store.show({ flag }));
    this.name = h("input", { type: "search", "aria-label": "Name contains", placeholder: "Name contains", value: store.filter.name, oninput: (event) => store.show({ name: event.target.value.trim() }) });
    this.modes = ["cards", "grid"].map((one) => h("button", { type: "button", class: "quiet", "data-mode": one, "aria-pressed": String(one === mode), onclick: () => this.#choose(one, actions) }, one === "cards" ? "Cards" : "Grid"));
    this.clear = h("button", { type: "button", class: "quiet", onclick: actions.clear }, "Clear");
    this.panel = h("div", { class: "panel" },
      labelled("Order", menu("Order", labels(ORDERS), store.order, (order) => store.sort(order))),
      this.own, this.group, this.certainty, this.flag, this.name, downloads(store), this.clear);
    const unfold = h("button", { type: "button", class: "quiet unfold", "aria-expanded": "false", onclick: () => {
      const open = this.element.classList.toggle("unfolded");
      unfold.setAttribute("aria-expanded", String(open));
    } }, "Filters");
    this.element = h("section", { class: "toolbar asleep", "aria-label": "Results" },
      h("div", { class: "headline" }, this.count, this.bar, this.agreement, this.all, this.retry, h("div", { class: "modes", role: "group", "aria-label": "View" }, this.modes), unfold),
      intake, this.panel);
  }

  #choose(mode, actions) {
    for (const button of this.modes) button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    actions.setMode(mode);
  }

  /** Show the content of the store; returns whether images are still in progress. */
  update(counts, shown) {
    const { store } = this;
    const ended = counts.states.done + counts.states.rejected + counts.states.failed;
    const busy = ended < counts.total;
    this.count.textContent = progressText(counts, shown.length);
    this.agreement.textContent = agreementText(shown);
    this.bar.max = Math.max(1, counts.total);
    this.bar.value = ended;
    this.bar.classList.toggle("idle", !busy);
    this.element.classList.toggle("asleep", counts.total === 0);
    this.all.hidden = !store.filtered;
    this.retry.hidden = !counts.states.failed;
    this.retry.textContent = `Retry ${counts.states.failed}`;
    this.group.value = store.filter.group;
    this.certainty.value = store.filter.certainty;
    if (document.activeElement !== this.name) this.name.value = store.filter.name;
    this.#offerOwn(counts.classes);
    this.#offerFlags();
    return busy;
  }

  /** The classes that the fork does not show, of models with classes of their own. */
  #offerOwn(classes) {
    const own = Object.keys(classes).filter((cls) => groupOf(cls) === "Own").sort();
    if (own.join("\n") !== this.#own) {
      this.#own = own.join("\n");
      this.own.replaceChildren(h("option", { value: "" }, "All classes"), ...own.map((cls) => h("option", { value: cls }, cls)));
    }
    this.own.hidden = !own.length;
    this.own.value = own.includes(this.store.filter.cls) ? this.store.filter.cls : "";
  }

  #offerFlags() {
    const flags = flagsOf(this.store.items);
    const known = flags.join() + this.store.items.some(({ votes }) => votes);
    if (known === this.#flags) return void (this.flag.value = this.store.filter.flag);
    this.#flags = known;
    const examples = this.store.items.some(({ votes }) => votes) ? { agree: "Volunteers agree", differ: "Volunteers differ" } : {};
    const choices = { "": "Any flags", none: "No flag", ...Object.fromEntries(flags.map((flag) => [flag, flagText(flag)])), several: "Several classes possible", ...examples };
    this.flag.replaceChildren(...Object.entries(choices).map(([value, text]) => h("option", { value }, text)));
    this.flag.value = this.store.filter.flag;
  }
}
