/** The stored galaxies of a cell of a confusion matrix. */

import { getJson } from "./api.js";
import { Detail } from "./detail.js";
import { h } from "./dom.js";
import { labelSection } from "./label.js";
import { fill } from "./loading.js";
import { pictureUrl, storedPicture } from "./pictures.js";
import { fetchItem } from "./stored-item.js";

const SHOWN = 60;

function counted({ count, total, labelled }) {
  if (!labelled) return "The galaxies of this evaluation are not stored here: no object has both a label and a prediction of this model. galclass images add stores images, galclass score predictions.";
  if (!total) return `None of the ${count.toLocaleString("en")} galaxies of this cell is among the ${labelled.toLocaleString("en")} labelled ones that are stored with a prediction of this model.`;
  const some = total === count ? `${total.toLocaleString("en")}` : `${total.toLocaleString("en")} stored here, ${count.toLocaleString("en")} in the evaluation`;
  return `${some}${total > SHOWN ? `; the first ${SHOWN}` : ""}.`;
}

/** Fill an element with the galaxies of a cell {model, table, volunteers, predicted}. */
export function showCell(place, cell, signal) {
  const query = new URLSearchParams(cell);
  const detail = new Detail(() => [], {
    sections: (item) => [labelSection(item)], pictureOf: (item) => pictureUrl(item.objectId), openId: (objectId) => open(objectId),
    closed: (item) => [...place.querySelectorAll("button")].find(({ dataset }) => dataset.id === item.objectId)?.focus({ preventScroll: true }),
  });
  const open = (objectId) => detail.openFetched(objectId, () => fetchItem(objectId, cell.model, signal));
  return fill(place, async () => {
    const found = await getJson(`v1/confusion?${query}`, { signal });
    const picture = ({ object_id: id, label }) => h("button", { type: "button", class: "neighbour", "data-id": id, title: `${id}, volunteers: ${label}`, "aria-label": `Open ${id}`, onclick: () => open(id) }, storedPicture(id, 64));
    return [h("h4", {}, `Volunteers ${cell.volunteers}, model ${cell.predicted}`), h("p", { class: "note" }, counted(found), " ", found.total ? h("a", { href: `#/map?${query}` }, "Show them on the map") : null),
      h("div", { class: "differing" }, found.objects.slice(0, SHOWN).map(picture)), detail.element];
  }, signal);
}
