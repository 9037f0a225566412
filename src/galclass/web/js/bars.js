/** Probabilities as bars: columns on a card, rows with names in the detail view. */

import { h } from "./dom.js";
import { CLASSES, CLASS_NAMES, groupOf, percent } from "./morphology.js";
import { spreadInWords } from "./fork.js";

/** 13 columns in the order of the classes, groups set apart. */
export function columns(probabilities, predicted) {
  const bars = CLASSES.map((cls) => {
    const probability = probabilities[cls] ?? 0;
    const style = { "--probability": probability };
    return h("span", { class: `column group-${groupOf(cls)}${cls === predicted ? " chosen" : ""}`, style, "data-class": cls, title: `${cls}: ${percent(probability)}` });
  });
  return h("div", { class: "columns", role: "img", "aria-label": `Probabilities: ${spreadInWords(probabilities)}` }, bars);
}

const SHOWN = 0.01; // least probability of a class that is listed above the fold

/** A table with one row per class; classes under 1 % that are in no set come below a fold. */
export function rows(probabilities, predicted, set = []) {
  const likely = CLASSES.filter((cls) => probabilities[cls] >= SHOWN || set.includes(cls) || cls === predicted);
  const others = CLASSES.filter((cls) => !likely.includes(cls));
  const line = (cls) =>
    h(
      "tr",
      { class: `group-${groupOf(cls)}${cls === predicted ? " chosen" : ""}` },
      h("th", { scope: "row" }, cls),
      h("td", { class: "name" }, CLASS_NAMES[cls], set.includes(cls) && h("span", { class: "in-set" }, "in set")),
      h("td", { class: "meter", "aria-hidden": "true" }, h("span", { class: "bar", style: { width: `${100 * probabilities[cls]}%` } })),
      h("td", { class: "value" }, percent(probabilities[cls])),
    );
  const head = h("tr", {}, ["Class", "Name", "", "Probability"].map((text) => (text ? h("th", { scope: "col" }, text) : h("td"))));
  const table = (classes, caption) => h("table", { class: "spread" }, h("caption", { class: "visually-hidden" }, caption), h("thead", {}, head.cloneNode(true)), h("tbody", {}, classes.map(line)));
  return [table(likely, "Probability of each class"), others.length > 0 && h("details", {}, h("summary", {}, `${others.length} classes under 1 %`), table(others, "Probability of the other classes"))];
}
