/** The view "Classify": take images in, show them on the fork and as cards or a grid; they outlive the view and the page. */

import { card, cell } from "./card.js";
import { Detail } from "./detail.js";
import { announce, h, labelled } from "./dom.js";
import { exampleButton } from "./examples.js";
import { LargeFork } from "./fork.js";
import { Gallery } from "./gallery.js";
import { chooser, listenToPage } from "./intake.js";
import { labelSection } from "./label.js";
import { notify, withdraw } from "./notices.js";
import { progressText, Toolbar } from "./toolbar.js";
import { frame, queue, store, takeImages } from "./visit.js";

let mode = "cards";

function frameOption() {
  const field = h("input", { type: "number", min: 1, max: 65536, value: frame.px, placeholder: "full frame", oninput: (event) => (frame.px = event.target.valueAsNumber || null) });
  return h("details", {}, h("summary", {}, "Files are cut from larger frames"),
    labelled("Side of the full frame in px, e.g. 424 for Galaxy Zoo 2", field));
}

function intake(undo) {
  return h("div", { class: "intake" },
    chooser("Choose images", { className: "primary" }, takeImages),
    chooser("Choose a folder", { folder: true, attributes: { webkitdirectory: true } }, takeImages),
    h("span", { class: "camera" }, chooser("Take a photo", { attributes: { capture: "environment", multiple: false } }, takeImages)),
    exampleButton(takeImages), undo, frameOption(),
    h("p", { class: "hint" }, "JPEG, PNG, BMP or FITS, one or hundreds; other formats that this browser can draw (WebP, AVIF, SVG, GIF) are converted. You can also drop them anywhere on this page, or paste one."));
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
  const labelled = store.cleared.filter(({ labels }) => Object.keys(labels).length).length;
  notify(`${count} image${count === 1 ? "" : "s"} cleared${labelled ? `, ${labelled} with labels` : ""}.`, { key: "cleared", action: { label: "Undo", run: undoClear } });
}

/** Build the view; `signal` ends its listeners. */
export function classifyView(signal) {
  const detail = new Detail(() => store.visible(), { sections: (item) => [labelSection(item)], closed: (item) => gallery.reveal(item.key) });
  const acts = { open: (item) => detail.open(item), retry: (item) => queue.retry([item]) };
  const gallery = new Gallery((item, drawnAs) => (drawnAs === "grid" ? cell : card)(item, acts), mode, signal);
  const fork = new LargeFork((cls) => store.show({ cls: store.filter.cls === cls ? null : cls }));
  const undo = h("button", { type: "button", hidden: true, onclick: undoClear });
  const toolbar = new Toolbar(store, mode, {
    clear,
    retry: () => queue.retry(store.items.filter(({ status }) => status === "failed")),
    setMode: (chosen) => gallery.setMode((mode = chosen)),
  }, intake(undo));
  const nothing = h("p", { class: "nothing", hidden: true }, "No image matches these filters.");
  const instrument = h("section", { class: "instrument" }, h("h1", {}, "Where do your galaxies sit on Hubble’s tuning fork?"), fork.element, toolbar.element);

  let someFinished = false; // all results may arrive between two checks: being busy is then never seen
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
    if (someFinished && !busy && counts.total) {
      announce(`All finished: ${progressText(counts, counts.total)}.`);
      someFinished = false;
    }
  };
  store.addEventListener("convert", (event) => detail.refreshPicture(event.detail.items), { signal });
  store.addEventListener("finish", () => (someFinished = true), { signal });
  store.addEventListener("change", refresh, { signal });
  listenToPage(takeImages, signal);
  queueMicrotask(refresh);
  return [instrument, nothing, gallery.element, detail.element];
}
