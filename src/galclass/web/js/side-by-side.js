/** Two images side by side: pictures and the model's prediction for each. */

import { fullDistribution } from "./bars.js";
import { h } from "./dom.js";
import { groupOf, nameOf, percent } from "./morphology.js";
import { pictureUrl } from "./pictures.js";
import { Viewer } from "./viewer.js";

function side(item, viewer) {
  const { predicted_class: cls, probabilities } = item.record;
  Promise.resolve(item.file ? item.url : pictureUrl(item.objectId)).then((url) => viewer.show(url, `Image of ${item.name}`));
  return h("section", { class: `one-side group-${groupOf(cls)}`, "aria-label": item.name }, viewer.element,
    h("h3", { class: "class" }, h("span", { class: "code" }, cls), ` ${[nameOf(cls), percent(probabilities[cls])].filter(Boolean).join(", ")}`), h("p", { class: "note" }, item.name),
    fullDistribution(item.record));
}

/** Show two items; `similarity` is the cosine of their embeddings. */
export function showSideBySide(left, right, similarity) {
  const before = document.activeElement;
  const element = h("dialog", { class: "detail side-by-side", "aria-labelledby": "sides-title" },
    h("header", { class: "detail-head" }, h("h2", { id: "sides-title" }, "Side by side"),
      h("div", { class: "controls" }, h("span", { class: "note" }, `similarity ${similarity.toFixed(2)}`), h("button", { type: "button", class: "quiet", autofocus: true, onclick: () => element.close() }, "Close"))),
    h("div", { class: "sheet-content two-sides" }, side(left, new Viewer()), side(right, new Viewer())));
  element.addEventListener("keydown", (event) => event.stopPropagation()); // the details below have their own keys
  element.addEventListener("close", () => (element.remove(), before?.isConnected && before.focus({ preventScroll: true })));
  document.body.append(element);
  element.showModal();
}
