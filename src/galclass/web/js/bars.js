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

/** A table with one row a class; `beside` may give a second value a class, e.g. the volunteers' share. */
export function rows(probabilities, predicted, set = [], beside = null) {
  const body = CLASSES.map((cls) =>
    h(
      "tr",
      { class: `group-${groupOf(cls)}${cls === predicted ? " chosen" : ""}` },
      h("th", { scope: "row" }, cls),
      h("td", { class: "name" }, CLASS_NAMES[cls], set.includes(cls) && h("span", { class: "in-set" }, "in set")),
      h("td", { class: "meter", "aria-hidden": "true" },
        h("span", { class: "bar", style: { width: `${100 * probabilities[cls]}%` } }),
        beside && h("span", { class: "mark", style: { left: `${100 * (beside[cls] ?? 0)}%` } })),
      h("td", { class: "value" }, percent(probabilities[cls])),
    ),
  );
  const head = h("tr", {}, ["Class", "Name", "", "Probability"].map((text) => (text ? h("th", { scope: "col" }, text) : h("td"))));
  return h("table", { class: "spread" }, h("caption", { class: "visually-hidden" }, "Probability of each class"), h("thead", {}, head), h("tbody", {}, body));
}
