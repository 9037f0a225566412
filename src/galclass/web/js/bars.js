/** Probabilities as bars: columns on a card, rows with names in the detail view. */

import { h } from "./dom.js";
import { smallFork, spreadInWords } from "./fork.js";
import { areOwn, CLASSES, classesOf, groupOf, nameOf, percent } from "./morphology.js";

/** 13 columns in the order of the classes, groups set apart. */
function columns(probabilities, predicted) {
  const bars = CLASSES.map((cls) => {
    const probability = probabilities[cls] ?? 0;
    const style = { "--probability": probability };
    return h("span", { class: `column group-${groupOf(cls)}${cls === predicted ? " chosen" : ""}`, style, "data-class": cls, title: `${cls}: ${percent(probability)}` });
  });
  return h("div", { class: "columns", role: "img", "aria-label": `Probabilities: ${spreadInWords(probabilities)}` }, bars);
}

const OWN_SHOWN = 6; // classes of a model's own on a card

/** The most probable of a model's own classes, as lines; they have no place on the fork. */
function ownLines(probabilities, predicted) {
  const classes = classesOf(probabilities);
  const line = (cls) => h("span", { class: `own-line${cls === predicted ? " chosen" : ""}` }, h("span", { class: "what" }, cls), h("span", { class: "value" }, percent(probabilities[cls])),
    h("span", { class: "track" }, h("span", { class: "bar", style: { width: `${100 * probabilities[cls]}%` } })));
  return h("div", { class: "own-lines group-Own", role: "img", "aria-label": `Probabilities: ${spreadInWords(probabilities)}` }, classes.slice(0, OWN_SHOWN).map(line),
    classes.length > OWN_SHOWN && h("span", { class: "note" }, `and ${classes.length - OWN_SHOWN} less probable`));
}

/** The distribution of a card: the fork and 13 columns, or a model's own classes. */
export function distribution(probabilities, predicted) {
  return areOwn(probabilities) ? ownLines(probabilities, predicted) : [smallFork(probabilities, predicted), columns(probabilities, predicted)];
}

/** The distribution in full: the fork if it has the classes, and a table. */
export function fullDistribution({ probabilities, predicted_class: predicted, prediction_set: set }) {
  return [!areOwn(probabilities) && smallFork(probabilities, predicted), rows(probabilities, predicted, set ?? [])];
}

const SHOWN = 0.01; // least probability of a class that is listed above the fold

/** A table with one row per class; classes under 1 % that are in no set come below a fold. */
function rows(probabilities, predicted, set = []) {
  const classes = classesOf(probabilities);
  const likely = classes.filter((cls) => probabilities[cls] >= SHOWN || set.includes(cls) || cls === predicted);
  const others = classes.filter((cls) => cls in probabilities && !likely.includes(cls));
  const line = (cls) =>
    h(
      "tr",
      { class: `group-${groupOf(cls)}${cls === predicted ? " chosen" : ""}` },
      h("th", { scope: "row" }, cls),
      h("td", { class: "name" }, nameOf(cls), set.includes(cls) && h("span", { class: "in-set" }, "in set")),
      h("td", { class: "meter", "aria-hidden": "true" }, h("span", { class: "bar", style: { width: `${100 * probabilities[cls]}%` } })),
      h("td", { class: "value" }, percent(probabilities[cls])),
    );
  const head = h("tr", {}, ["Class", "Name", "", "Probability"].map((text) => (text ? h("th", { scope: "col" }, text) : h("td"))));
  const table = (listed, caption) => h("table", { class: "spread" }, h("caption", { class: "visually-hidden" }, caption), h("thead", {}, head.cloneNode(true)), h("tbody", {}, listed.map(line)));
  return [table(likely, "Probability of each class"), others.length > 0 && h("details", {}, h("summary", {}, `${others.length} classes under 1 %`), table(others, "Probability of the other classes"))];
}
