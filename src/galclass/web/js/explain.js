/** Sections of the detail view that ask the service more: where the model looked, the eight views, similar galaxies. */

import { ApiError, askService, storedImage } from "./api.js";
import { h } from "./dom.js";
import { fill, patiently } from "./loading.js";
import { CLASS_NAMES, groupOf, percent } from "./morphology.js";
import { currentService } from "./service.js";

async function ask(item, end) {
  item.answers ??= {};
  item.file ??= await storedImage(item.objectId);
  item.answers[end] ??= await askService(await currentService(), end, item);
  return item.answers[end];
}

const png = (text) => `data:image/png;base64,${text}`;

function cutoutFigure({ cutout, saliency }) {
  const heat = h("img", { class: "heat", src: png(saliency), alt: "" });
  const toggle = h("input", { type: "checkbox", checked: true, onchange: (event) => heat.classList.toggle("off", !event.target.checked) });
  return h("figure", { class: "cutout" },
    h("div", { class: "plate overlaid" }, h("img", { src: png(cutout), alt: "The cutout as the model sees it", width: 256, height: 256 }), heat),
    h("figcaption", {}, h("label", {}, toggle, " Show where hiding a patch lowers the probability")));
}

function viewFigure({ png: picture, predicted_class: cls, probabilities, angle_deg: angle, mirrored }) {
  const turn = `${mirrored ? "mirrored, " : ""}${angle}°`;
  return h("figure", { class: `turned group-${groupOf(cls)}` },
    h("img", { src: png(picture), alt: `View turned: ${turn}`, width: 96, height: 96, loading: "lazy" }),
    h("figcaption", {}, h("b", {}, cls), ` ${percent(probabilities[cls])}`, h("span", { class: "turn" }, turn)));
}

function agreement(views) {
  const counts = new Map();
  for (const { predicted_class: cls } of views) counts.set(cls, (counts.get(cls) ?? 0) + 1);
  const [[first]] = counts;
  if (counts.size === 1) return `All eight turned and mirrored views give ${first}, ${CLASS_NAMES[first]}.`;
  return `The eight turned and mirrored views differ: ${[...counts].map(([cls, count]) => `${count} give ${cls}`).join(", ")}.`;
}

async function explanation(item) {
  const answer = await ask(item, "explain");
  return [
    h("h3", {}, "What the model sees"),
    h("div", { class: "explained" }, cutoutFigure(answer),
      h("div", {}, h("p", {}, agreement(answer.views)), h("div", { class: "views" }, answer.views.map(viewFigure)))),
  ];
}

function neighbourFigure({ object_id: objectId, label, similarity }, picture) {
  return h("figure", { class: "turned" }, h("img", { src: picture, alt: "", width: 96, height: 96 }),
    h("figcaption", {}, h("b", {}, label ?? "no label"), ` ${similarity.toFixed(2)}`, h("span", { class: "turn" }, objectId)));
}

async function neighbours(item) {
  const { similar } = await ask(item, "similar");
  const pictures = await Promise.all(similar.map(async ({ object_id: id }) => URL.createObjectURL(await storedImage(id))));
  return [h("h3", {}, "Most similar galaxies of the sample"), h("div", { class: "views" }, similar.map((one, index) => neighbourFigure(one, pictures[index])))];
}

async function neighboursIfKnown(item) {
  try {
    return await patiently(() => neighbours(item));
  } catch (error) {
    if (error instanceof ApiError && [404, 405].includes(error.status)) return null; // this model has no index of the sample
    throw error;
  }
}

const SETTLE_MS = 250; // who walks through images with the arrow keys asks for the last one alone

async function whenSettled(section, load) {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  return section.isConnected ? load() : [];
}

/** Both sections of an item; they fill themselves. */
export function explainSections(item) {
  const first = h("section", { class: "explain" });
  const second = h("section", { class: "similar" });
  fill(first, () => whenSettled(first, () => explanation(item)));
  fill(second, () => whenSettled(second, () => neighboursIfKnown(item)));
  return [first, second];
}
