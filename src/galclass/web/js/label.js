/** A class given by hand: a button for each class, the 13 or those of the model. Stored with author and time; for images of this visit in this browser. */

import { ApiError, change, inWords } from "./api.js";
import { author, authorTyped, setAuthor } from "./author.js";
import { keysOf } from "./desk-keys.js";
import { announce, h, labelled, once } from "./dom.js";
import { patiently } from "./loading.js";
import { areOwn, CLASSES, groupOf, inFull, nameOf } from "./morphology.js";
import { notify } from "./notices.js";
import { guarded } from "./unsent.js";
import { store } from "./visit.js";

const isUpload = (item) => item.file !== null && item.file !== undefined;

/** [key, class] of what an item may be labelled: the 13, or for an image of this visit the classes of its model. */
export function labelKeys(item) {
  const { probabilities } = item.record;
  return keysOf(isUpload(item) && areOwn(probabilities) ? Object.keys(probabilities).sort() : CLASSES);
}

/** Label an image of this visit; a label that it has stays as it is. */
export function labelUpload(item, label) {
  if (item.labels[author()]?.label !== label) store.setLabel(item, author(), { label, at: new Date().toISOString() });
}

/** Label an image of this visit; the same label again removes it. */
function toggleUpload(item, label) {
  if (item.labels[author()]?.label === label) store.setLabel(item, author(), null);
  else labelUpload(item, label);
}

/** The labels of an image of this visit in words, newest first. */
export function labelsInWords(item) {
  const all = Object.entries(item.labels).sort(([, a], [, b]) => b.at.localeCompare(a.at));
  return all.map(([by, { label }]) => `${label} by ${by}`).join(", ");
}

const onTheirWay = new Map(); // object id -> its last request: labels of one object are stored in the order in which they were given

function inOrder(objectId, run) {
  const mine = (onTheirWay.get(objectId) ?? Promise.resolve()).then(run, run);
  onTheirWay.set(objectId, mine);
  const forget = () => onTheirWay.get(objectId) === mine && onTheirWay.delete(objectId);
  mine.then(forget, forget);
  return mine;
}

async function storeLabel(item, label) {
  const send = () => patiently(() => change("POST", "v1/labels", { object_id: item.objectId, label }));
  const stored = await guarded(() => inOrder(item.objectId, send));
  item.label = label;
  item.labelledBy = stored.labelled_by;
  return `Labelled ${label} by ${stored.labelled_by}.`;
}

function uploadText(item) {
  return Object.keys(item.labels).length ? `Labelled ${labelsInWords(item)}.` : "Not labelled yet. Labels stay in this browser; they are in CSV, Parquet and the report.";
}

/** The section of an object or image; `done(label)` is called when a label is stored. Its buttons show keys once the element has the class "labelling". */
export function labelSection(item, done = () => {}) {
  const mine = isUpload(item);
  const chosen = () => (mine ? item.labels[author()]?.label : item.label);
  const said = h("p", { class: "note", role: "status" }, mine ? uploadText(item) : item.label ? `Labelled ${item.label} by ${item.labelledBy ?? "hand"}.` : "Not labelled by hand yet.");
  const give = async (label) => {
    try {
      if (mine) toggleUpload(item, label);
      said.textContent = mine ? uploadText(item) : await storeLabel(item, label);
      for (const button of choices.children) button.setAttribute("aria-pressed", String(button.dataset.label === chosen()));
      announce(chosen() === label ? `Stored ${label} for ${item.objectId}.` : `Removed ${label} from ${item.objectId}.`);
      done(label);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (said.checkVisibility()) said.textContent = inWords(error);
      else notify(`${item.objectId} is not labelled: ${inWords(error)}`, { key: "label" }); // the reader closed the details, or is at another one now
    }
  };
  const button = ([key, cls]) =>
    h("button", { type: "button", class: `label-choice group-${groupOf(cls)}`, "data-label": cls, "aria-pressed": String(chosen() === cls), "aria-label": inFull(cls), title: nameOf(cls) || cls, onclick: once(() => give(cls)) }, cls, h("kbd", {}, key.toUpperCase()));
  const choices = h("div", { class: "choices" }, labelKeys(item).map(button));
  const by = mine && labelled("Your name", h("input", { type: "text", maxlength: 60, autocomplete: "name", placeholder: "you", value: authorTyped(), onchange: (event) => {
    setAuthor(event.target.value);
    for (const one of choices.children) one.setAttribute("aria-pressed", String(one.dataset.label === chosen()));
  } }));
  return h("section", { class: "label" }, h("h3", {}, "Your label"), said, choices, by);
}
