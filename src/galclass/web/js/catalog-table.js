/** Stored predictions as a table that becomes a list of blocks on a phone. */

import { h } from "./dom.js";
import { flagText, groupOf, nameOf, percent } from "./morphology.js";
import { storedPicture } from "./pictures.js";

function positionText({ ra, dec }) {
  return ra === null || dec === null ? "" : `${ra.toFixed(4)}, ${dec >= 0 ? "+" : ""}${dec.toFixed(4)}`;
}

function separationText(arcsec) {
  if (arcsec < 60) return `${arcsec.toFixed(1)}″`;
  return arcsec < 3600 ? `${(arcsec / 60).toFixed(1)}′` : `${(arcsec / 3600).toFixed(2)}°`;
}

function rowOf(row, open, inCone) {
  const cls = row.predicted_class;
  const cell = (name, content, label) => h("td", { class: name, "data-label": label }, content);
  return h("tr", { class: cls ? `group-${groupOf(cls)}` : "" },
    h("td", { class: "thumb" }, storedPicture(row.object_id, 56)),
    h("th", { scope: "row" }, cls ? h("button", { type: "button", class: "as-link", onclick: () => open(row) }, row.object_id) : row.object_id),
    cell("class-cell", cls ? [h("span", { class: "code" }, cls), h("span", { class: "name" }, nameOf(cls))] : h("span", { class: "fault" }, row.error ?? "no prediction")),
    cell("meter-cell", cls && row.probability !== null && [h("span", { class: "meter" }, h("span", { class: "bar", style: { width: `${100 * row.probability}%` } })), percent(row.probability)]),
    cell("flags", row.flags.map(flagText).join(", ")),
    inCone && cell("separation", separationText(row.separation_arcsec), "Distance"),
    cell("place", positionText(row), row.ra === null ? null : "RA, Dec"),
    cell("human", row.human_label && `${row.human_label} (${row.labelled_by})`, row.human_label && "By hand"));
}

/** The table of a page; `open(row)` shows the details. */
export function catalogTable(page, open) {
  if (!page.total) return h("p", { class: "nothing" }, "No stored prediction matches these filters. galclass score --pending fills the catalog.");
  const inCone = page.predictions.some((row) => row.separation_arcsec !== null);
  const heads = ["Image", "Object", "Class", "Probability", "Flags", inCone && "Distance", "RA, Dec (°)", "By hand"].filter(Boolean);
  return h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Stored predictions" }, h("table", { class: "listing catalog-list" },
    h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, page.predictions.map((row) => rowOf(row, open, inCone)))));
}

/** The current page, and buttons to the others. */
export function pager(page, turn) {
  const pages = Math.max(1, Math.ceil(page.total / page.page_size));
  const button = (text, to) => h("button", { type: "button", class: "quiet", disabled: to < 1 || to > pages, onclick: () => turn(to) }, text);
  return h("nav", { class: "pager", "aria-label": "Pages" }, button("Previous", Math.min(page.page - 1, pages)),
    h("p", {}, `Page ${page.page} of ${pages}, ${page.total.toLocaleString("en")} galax${page.total === 1 ? "y" : "ies"}`), button("Next", page.page + 1));
}
