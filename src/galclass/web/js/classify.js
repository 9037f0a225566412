/** The view "Classify": take images in, show them on the fork and as cards or a grid; they outlive the view and the page. */

import { card, cell } from "./card.js";
import { Detail } from "./detail.js";
import { announce, h, labelled } from "./dom.js";
import { exampleButton } from "./examples.js";
import { LargeFork } from "./fork.js";
import { Gallery } from "./gallery.js";
import { chooser, listenToPage } from "./intake.js";
import { notify, withdraw } from "./notices.js";
import { Queue } from "./queue.js";
import { currentService } from "./service.js";
import { Session } from "./session.js";
import { Store } from "./store.js";
import { progressText, Toolbar } from "./toolbar.js";

const NAMED = 5; // files that are named where some were left out

const store = new Store(); // outlives the view, so that a look at another view loses nothing
const queue = new Queue(store, currentService);
const session = new Session(store);

/** Fulfilled once the images of the last visit are back. */
export const restored = session.start().then((unfinished) => queue.push(unfinished));

let framePx = null; // side of the survey's full frame, where files hold only its centre
let mode = "cards";

/** Take images in; `left` are the names of files that are no images. */
function take(entries, left = []) {
  const named = left.slice(0, NAMED).join(", ") + (left.length > NAMED ? " and others" : "");
  if (left.length) notify(`${left.length} file${left.length === 1 ? "" : "s"} left out, not images: ${named}`, { key: "left out" });
  if (entries.length) restored.then(() => queue.push(store.add(entries.map((entry) => ({ framePx, ...entry })))));
}

function frameOption() {
  const field = h("input", { type: "number", min: 1, max: 65536, value: framePx, placeholder: "full frame", oninput: (event) => (framePx = event.target.valueAsNumber || null) });
  return h("details", {}, h("summary", {}, "Files are cut from larger frames"),
    labelled("Side of the full frame in px, e.g. 424 for Galaxy Zoo 2", field));
}

function intake(undo) {
  return h("div", { class: "intake" },
    chooser("Choose images", { className: "primary" }, take),
    chooser("Choose a folder", { folder: true, attributes: { webkitdirectory: true } }, take),
    h("span", { class: "camera" }, chooser("Take a photo", { attributes: { capture: "environment", multiple: false } }, take)),
    exampleButton(take), undo, frameOption(),
    h("p", { class: "hint" }, "JPEG, PNG, BMP or FITS, one or hundreds; what else this browser can draw (WebP, AVIF, SVG, GIF) is converted. You can also drop them anywhere on this page, or paste one."));
}

function undoClear() {
  withdraw("cleared");
  queue.push(store.undoClear());
}

function clear() {
  if (!store.items.length) return;
  queue.clear();
  store.clear();
  const count = store.cleared.length;
  notify(`${count} image${count === 1 ? "" : "s"} cleared.`, { key: "cleared", action: { label: "Undo", run: undoClear } });
}

/** Build the view; `signal` ends its listeners. */
export function classifyView(signal) {
  const detail = new Detail(() => store.visible(), { closed: (item) => gallery.reveal(item.key) });
  const acts = { open: (item) => detail.open(item), retry: (item) => queue.retry([item]) };
  const gallery = new Gallery((item, drawnAs) => (drawnAs === "grid" ? cell : card)(item, acts), mode, signal);
  const fork = new LargeFork((cls) => store.show({ cls: store.filter.cls === cls ? null : cls }));
  const undo = h("button", { type: "button", hidden: true, onclick: undoClear });
  const toolbar = new Toolbar(store, mode, {
    clear,
    retry: () => queue.retry(store.items.filter(({ status }) => status === "failed")),
    setMode: (chosen) => gallery.setMode((mode = chosen)),
  }, intake(undo));
  const nothing = h("p", { class: "nothing", hidden: true }, "No image passes these filters.");
  const instrument = h("section", { class: "instrument" }, h("h1", {}, "Where do your galaxies sit on Hubble’s tuning fork?"), fork.element, toolbar.element);

  let wasBusy = false;
  const refresh = () => {
    const shown = store.visible();
    const counts = store.counts();
    instrument.classList.toggle("working", counts.total > 0);
    fork.update(counts.classes, store.filter.cls);
    const busy = toolbar.update(counts, shown);
    instrument.classList.toggle("busy", busy);
    undo.hidden = Boolean(counts.total) || !store.cleared.length;
    undo.textContent = `Bring back ${store.cleared.length} cleared`;
    nothing.hidden = !(store.filtered && counts.total && !shown.length);
    gallery.show(shown);
    if (wasBusy && !busy && counts.total) announce(`All finished: ${progressText(counts, counts.total)}.`);
    wasBusy = busy;
  };
  store.addEventListener("change", refresh, { signal });
  listenToPage(take, signal);
  queueMicrotask(refresh);
  return [instrument, nothing, gallery.element, detail.element];
}
