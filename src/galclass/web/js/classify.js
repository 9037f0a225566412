/** The view "Classify": take images in, show them on the large fork and as cards. */

import { ApiError, inWords } from "./api.js";
import { card } from "./card.js";
import { Detail } from "./detail.js";
import { announce, h, labelled } from "./dom.js";
import { downloads } from "./downloads.js";
import { explainSections } from "./explain.js";
import { exampleButton } from "./examples.js";
import { LargeFork } from "./fork.js";
import { Gallery } from "./gallery.js";
import { chooser, listenToPage } from "./intake.js";
import { Queue } from "./queue.js";
import { currentService } from "./service.js";
import { CERTAINTIES, ORDERS, Store } from "./store.js";

const store = new Store(); // outlives the view, so that a look at another view loses nothing
const queue = new Queue(store, currentService);
const IDLE = "Nothing classified yet.";

let framePx = null; // side of the survey's full frame, where files hold only its centre

const leftOut = h("p", { class: "hint" }); // says which files were passed over

/** Take images in; `left` are the names of files that are no images. */
function take(entries, left = []) {
  const named = left.slice(0, 5).join(", ") + (left.length > 5 ? " and others" : "");
  leftOut.textContent = left.length ? `${left.length} file${left.length === 1 ? "" : "s"} left out, not JPEG, PNG or BMP: ${named}` : "";
  announce(leftOut.textContent);
  if (entries.length) queue.push(store.add(entries.map((entry) => ({ framePx, ...entry }))));
}

function frameOption() {
  const field = h("input", { type: "number", min: 1, max: 65536, value: framePx, placeholder: "full frame", oninput: (event) => (framePx = event.target.valueAsNumber || null) });
  return h("details", {}, h("summary", {}, "Files are cut from larger frames"),
    labelled("Side of the full frame in px, e.g. 424 for Galaxy Zoo 2", field));
}

function menu(label, choices, value, onchoose) {
  const options = Object.entries(choices).map(([key, choice]) => h("option", { value: key, selected: key === value }, choice.label));
  return labelled(label, h("select", { onchange: (event) => onchoose(event.target.value) }, options));
}

function progressText({ states, total }, shown) {
  if (!total) return IDLE;
  const finished = states.done + states.rejected;
  const parts = [finished < total ? `${finished} of ${total} finished` : `${states.done} classified`];
  if (states.rejected) parts.push(`${states.rejected} rejected`);
  if (shown < total) parts.push(`${shown} shown`);
  return parts.join(", ");
}

function intake() {
  return h("div", { class: "intake" },
    chooser("Choose images", { className: "primary" }, take),
    chooser("Choose a folder", { folder: true, attributes: { webkitdirectory: true } }, take),
    h("span", { class: "camera" }, chooser("Take a photo", { attributes: { capture: "environment", multiple: false } }, take)),
    exampleButton(take),
    frameOption(),
    h("p", { class: "hint" }, "JPEG, PNG or BMP, one or hundreds. You can also drop them anywhere on this page, or paste one."),
    leftOut);
}

/** Build the view; `signal` ends its listeners. */
export function classifyView(signal) {
  const detail = new Detail(() => store.visible(), explainSections);
  const gallery = new Gallery((item) => card(item, (chosen) => detail.open(chosen)), signal);
  const fork = new LargeFork((cls) => store.show({ chosenClass: store.chosenClass === cls ? null : cls }));
  const count = h("p", { class: "tally" }, IDLE);
  const bar = h("progress", { max: 1, value: 0, "aria-label": "Images finished" });
  const filterNote = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => store.show({ chosenClass: null, certainty: "any" }) }, "Show all");
  const clear = h("button", { type: "button", class: "quiet", onclick: () => (queue.clear(), store.clear()) }, "Clear");
  const toolbar = h("section", { class: "toolbar", "aria-label": "Results" }, count, bar, filterNote,
    menu("Order", ORDERS, store.order, (order) => store.show({ order })),
    menu("Certainty", CERTAINTIES, store.certainty, (certainty) => store.show({ certainty })),
    downloads(store), clear);
  const nothing = h("p", { class: "nothing", hidden: true }, "No image passes these filters.");

  let wasBusy = false;
  const refresh = () => {
    const shown = store.visible();
    const counts = store.counts();
    const finished = counts.states.done + counts.states.rejected;
    const busy = finished < counts.total;
    const filtered = store.chosenClass !== null || store.certainty !== "any";
    fork.update(counts.classes, store.chosenClass);
    count.textContent = progressText(counts, shown.length);
    bar.max = Math.max(1, counts.total);
    bar.value = finished;
    bar.classList.toggle("idle", !busy);
    toolbar.classList.toggle("asleep", counts.total === 0);
    toolbar.inert = counts.total === 0;
    toolbar.querySelectorAll("select")[1].value = store.certainty;
    filterNote.hidden = !filtered;
    nothing.hidden = !(filtered && counts.total && !shown.length);
    gallery.show(shown);
    if (wasBusy && !busy && counts.total) announce(`All finished: ${progressText(counts, counts.total)}.`);
    wasBusy = busy;
  };
  store.addEventListener("change", refresh, { signal });
  listenToPage(take, signal);
  queueMicrotask(refresh);
  return [
    h("section", { class: "instrument" }, h("h1", {}, "Where do your galaxies sit on Hubble’s tuning fork?"), fork.element, intake()),
    toolbar, nothing, gallery.element, detail.element,
  ];
}

/** Say which service classifies, or why none does. */
export async function sayService(place, describe) {
  try {
    place.textContent = describe(await currentService());
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    place.textContent = inWords(error);
  }
}
