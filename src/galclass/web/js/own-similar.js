/** The images of this visit most similar to one of them, by the model. */

import { h } from "./dom.js";
import { cosine, embed } from "./embeddings.js";
import { groupOf } from "./morphology.js";
import { showSideBySide } from "./side-by-side.js";
import { store } from "./visit.js";

const SHOWN = 8;

function figure(item, { other, similarity }, openItem) {
  const cls = other.record.predicted_class;
  return h("figure", { class: `turned group-${groupOf(cls)}` },
    h("button", { type: "button", class: "neighbour", "aria-label": `Open ${other.name}`, onclick: () => openItem(other) }, h("div", { class: "plate" }, h("img", { src: other.url, alt: "", width: 96, height: 96, loading: "lazy" }))),
    h("figcaption", {}, h("b", {}, cls), ` ${similarity.toFixed(2)}`, h("span", { class: "turn" }, other.name),
      h("button", { type: "button", class: "as-link", "aria-label": `Compare with ${other.name}`, onclick: () => showSideBySide(item, other, similarity) }, "compare")));
}

/** The content of the section; `openItem(other)` opens one of them. */
export async function ownSimilar(item, openItem) {
  const known = store.items.filter(({ record, file }) => record && file && record.model?.sha256 === item.record.model?.sha256);
  await embed(known);
  const others = known.filter((other) => other !== item && other.embedding);
  if (!item.embedding || !others.length) return h("p", { class: "note" }, "No other image of this visit was classified by this model.");
  const ranked = others.map((other) => ({ other, similarity: cosine(item.embedding, other.embedding) })).sort((a, b) => b.similarity - a.similarity);
  const note = known.length > others.length + 1 ? h("p", { class: "note" }, `${known.length - others.length - 1} images could not be compared.`) : null;
  return [h("h3", {}, "Most similar images of this visit"), note, h("div", { class: "views" }, ranked.slice(0, SHOWN).map((one) => figure(item, one, openItem)))];
}
