/** The tabs "Why" and "Similar": where the model looked, what changes its class, the nearest galaxies of two classes. */

import { ApiError, askService, getJson, inWords, pathOf } from "./api.js";
import { imported } from "./connection.js";
import { h } from "./dom.js";
import { fill, patiently } from "./loading.js";
import { groupOf, inFull, nameOf, percent } from "./morphology.js";
import { notify } from "./notices.js";
import { storedPicture } from "./pictures.js";
import { currentService } from "./service.js";
import { classifiedItem, fetchItem } from "./stored-item.js";

const SETTLE_MS = 250; // with arrow keys held, only the last image is requested
const NEIGHBOURS = 8;

/** Ask the model that gave the item its class: the service's version for an upload, the row's model for a stored object. */
export async function ask(item, end) {
  item.answers ??= {};
  item.answers[end] ??= await (item.file ? askService(item.service ?? (await currentService()), end, item) : getJson(storedPath(item, end)));
  return item.answers[end];
}

function storedPath({ objectId, record }, end) {
  const model = `${record.model.name}@${record.model.version}`;
  return `${pathOf("images", objectId, end)}?${new URLSearchParams({ model, ...(end === "similar" && { count: NEIGHBOURS }) })}`;
}

const models = new Map();

/** A registered model with its figures; null if it is gone. */
async function modelOf({ name, version, sha256 }) {
  const path = pathOf("models", name, version);
  const key = `${path} ${sha256}`; // another database may have another model under this name
  if (models.has(key)) return models.get(key);
  const model = await patiently(() => getJson(path)).catch((error) => (error instanceof ApiError ? null : Promise.reject(error)));
  if (model) models.set(key, model);
  return model;
}

const png = (text) => `data:image/png;base64,${text}`;

function cutoutFigure({ cutout, saliency }) {
  const heat = h("img", { class: "heat", src: png(saliency), alt: "" });
  const toggle = h("input", { type: "checkbox", checked: true, onchange: (event) => heat.classList.toggle("off", !event.target.checked) });
  return h("figure", { class: "cutout" },
    h("div", { class: "plate overlaid" }, h("img", { src: png(cutout), alt: "The cutout as the model sees it", width: 256, height: 256 }), heat),
    h("figcaption", {}, h("label", {}, toggle, " Show where hiding a patch lowers the probability")));
}

function answerFigure({ png: picture, predicted_class: cls, probabilities }, words, first) {
  const other = cls !== first;
  return h("figure", { class: `turned group-${groupOf(cls)}${other ? " other" : ""}` },
    h("img", { src: png(picture), alt: `The cutout ${words}`, width: 96, height: 96, loading: "lazy" }),
    h("figcaption", {}, h("b", {}, cls), ` ${percent(probabilities[cls])}`, h("span", { class: "turn" }, words)));
}

const turn = ({ angle_deg: angle, mirrored }) => `${mirrored ? "mirrored, " : ""}turned ${angle}°`;

function changesText({ predicted_class: first, variations }) {
  const changing = variations.filter(({ predicted_class: cls }) => cls !== first);
  if (!changing.length) return `Still ${inFull(first)}, under each of ${variations.length} small changes to the image.`;
  return `${changing.length} of ${variations.length} small changes to the image change the class: ${changing.map(({ text, predicted_class: cls }) => `${text} ${cls}`).join(", ")}.`;
}

function turnsText({ views, turning_changes: changes }) {
  if (!changes) return "Quarter turns and mirroring do not change this model’s probabilities.";
  const counts = new Map();
  for (const { predicted_class: cls } of views) counts.set(cls, (counts.get(cls) ?? 0) + 1);
  return `Rotated and mirrored, eight views: ${[...counts].map(([cls, count]) => `${count} ${cls}`).join(", ")}.`;
}

function sensitivity(answer) {
  const { predicted_class: first, variations, views } = answer;
  const ordered = [...variations].sort((a, b) => (a.predicted_class === first) - (b.predicted_class === first));
  return h("div", {}, h("p", {}, changesText(answer)), h("div", { class: "views" }, ordered.map((one) => answerFigure(one, one.text, first))),
    h("p", { class: "note" }, turnsText(answer)),
    answer.turning_changes && h("div", { class: "views" }, views.map((one) => answerFigure(one, turn(one), first))));
}

/** How often the model was right when it predicted this class, from the confusion matrix of its evaluation. */
export function trackRecord(metrics, cls) {
  const table = metrics?.tables?.["13 classes"];
  const column = table?.names?.indexOf(cls) ?? -1;
  if (column < 0 || !table.confusion) return null;
  const given = table.confusion.reduce((sum, row) => sum + row[column], 0);
  return given ? `Of ${given} test galax${given === 1 ? "y" : "ies"} that this model called ${cls}, ${table.confusion[column][column]} ${table.confusion[column][column] === 1 ? "was" : "were"} ${cls} to the volunteers.` : `This model called none of its ${table.count} test galaxies ${cls}.`;
}

async function why(item) {
  const answer = await ask(item, "explain");
  const model = await modelOf(answer.model);
  const before = item.record.predicted_class;
  const right = trackRecord(model?.metrics, before);
  return [
    answer.predicted_class !== before && h("p", { class: "fault" }, `Classified again, this image is ${answer.predicted_class}; ${before} was stored.`),
    h("p", {}, `By ${answer.model.name}, version ${answer.model.version}. `, right),
    h("h3", {}, "Where the model looked, and what changes the class"),
    h("div", { class: "explained" }, cutoutFigure(answer), sensitivity(answer)),
  ];
}

let comparing = null; // the comparison that was asked for last

/** Show an image beside a stored one, by the model of the first; not if the reader leaves its `button` or wants another before it is here. */
async function compareWith(item, objectId, similarity, button) {
  const turn = (comparing = Symbol(objectId));
  const { name, version } = item.record.model;
  const model = `${name}@${version}`;
  try {
    const { showSideBySide } = await imported(() => import("./side-by-side.js"));
    const other = (await fetchItem(objectId, model)) ?? (await classifiedItem(objectId, model));
    if (turn === comparing && button.checkVisibility()) showSideBySide(item, other, similarity);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    notify(inWords(error), { key: "object" });
  }
}

function neighbourFigure(item, { object_id: objectId, predicted_class: cls, label, text, similarity }, open) {
  const name = label ?? cls;
  const picture = storedPicture(objectId, 96);
  return h("figure", { class: "turned" }, open ? h("button", { type: "button", class: "neighbour", "aria-label": `Open ${objectId}`, onclick: () => open(objectId) }, picture) : picture,
    h("figcaption", {}, h("b", { title: text }, name), ` ${similarity.toFixed(2)}`, h("span", { class: "turn" }, text ? `volunteers: ${text}` : "by the model"), h("span", { class: "turn" }, objectId),
      h("button", { type: "button", class: "as-link", "aria-label": `Compare with ${objectId}`, onclick: (event) => compareWith(item, objectId, similarity, event.currentTarget) }, "compare")));
}

/** A load that returns nothing where the tab "Similar" names the refusal. */
async function ifKnown(load) {
  try {
    return await load();
  } catch (error) {
    if (error instanceof ApiError && [404, 405].includes(error.status)) return null;
    throw error;
  }
}

async function contrast(item, open) {
  const sides = (await ask(item, "similar")).contrast.filter(({ nearest }) => nearest.length);
  if (!sides.length) return null;
  return [h("h3", {}, "Nearest stored galaxies of the two most probable classes"),
    h("div", { class: "sides" }, sides.map(({ predicted_class: cls, nearest }) => h("div", { class: `side group-${groupOf(cls)}` },
      h("h4", {}, h("b", {}, cls), ` ${[nameOf(cls), percent(item.record.probabilities[cls])].filter(Boolean).join(", ")}`),
      h("div", { class: "views" }, nearest.slice(0, 4).map((one) => neighbourFigure(item, one, open))))))];
}

async function similar(item, open) {
  const { similar: found, lacking = 0 } = await ask(item, "similar");
  const left = lacking > 0 && h("p", { class: "note" }, `${lacking.toLocaleString("en")} stored images were not compared: they have no embedding yet.`);
  if (!found.length) return [h("p", { class: "note" }, "No other stored galaxy to compare with."), left];
  return [h("h3", {}, "Most similar stored galaxies"), left, h("div", { class: "views" }, found.map((one) => neighbourFigure(item, one, open)))];
}

/** A section that fills itself once the reader stays. */
export function lazily(kind, load, signal = null) {
  const section = h("section", { class: kind });
  fill(section, async () => {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    return section.isConnected ? load() : [];
  }, signal);
  return section;
}

/** The sections of the tab "Why"; `open(objectId)` shows a neighbour, if given. */
export function whySections(item, open = null) {
  return [lazily("explain", () => why(item)), lazily("contrast", () => ifKnown(() => contrast(item, open)))];
}

/** The sections of the tab "Similar"; `openItem(item)` shows an image of this visit. */
export function similarSections(item, open = null, openItem = null) {
  return [item.file && lazily("own-similar", async () => (await imported(() => import("./own-similar.js"))).ownSimilar(item, openItem)), lazily("similar", () => similar(item, open))];
}
