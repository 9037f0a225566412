/** The filters over stored predictions: a form, and the parameters of the API. */

import { ApiError, getJson, pathOf } from "./api.js";
import { h, labelled } from "./dom.js";
import { CLASSES, GROUPS, GROUP_NAMES, nameOf } from "./morphology.js";

const PRODUCTION = "galaxy@production"; // the model of the API where none is named

const SORTS = {
  "": "Usual",
  object_id: "Object id",
  "-probability": "Most certain first",
  uncertainty: "Least certain first",
  class: "Class",
  ra: "Right ascension",
  dec: "Declination",
  separation: "Distance from the cone",
  "-scored_at": "Newest first",
};

const SENT = ["object_id", "search", "model", "class", "group", "min_probability", "cone", "unlabelled", "sort", "page", "page_size", "format"];

/** The filters that are set, as parameters of the API. */
export function toParameters(query) {
  return new URLSearchParams(Object.entries(query).filter(([key, value]) => SENT.includes(key) && value !== "" && value !== undefined));
}

function select(label, name, choices, query, change) {
  const options = Object.entries(choices).map(([value, text]) => h("option", { value, selected: query[name] === value }, text));
  return labelled(label, h("select", { name, onchange: (event) => change({ [name]: event.target.value }) }, options));
}

function text(label, name, hint, query, change, type = "text") {
  const onchange = (event) => change({ [name]: event.target.value.trim() });
  return labelled(label, h("input", { type, name, value: query[name], placeholder: hint, onchange, spellcheck: "false", autocomplete: "off" }));
}

/** The classes and groups of a model, "name@version"; those of Galaxy Zoo if it is not registered. */
export async function kindsOf(model, signal) {
  const [, name, version] = (model || PRODUCTION).match(/^(.*)@(.*)$/) ?? [null, model, "production"];
  try {
    const { signature } = await getJson(pathOf("models", name, version), { signal });
    const groups = Array.isArray(signature.groups) ? signature.groups.map((group) => group.name) : Object.keys(signature.groups ?? {});
    if (signature.classes?.length) return { classes: signature.classes, groups };
  } catch (error) {
    if (!(error instanceof ApiError && [404, 422].includes(error.status))) throw error;
  }
  return { classes: CLASSES, groups: Object.keys(GROUPS) };
}

/** The choices of a menu, with the one that the address names even if the model lacks it. */
function choices(known, current, textOf) {
  return { "": "All", ...Object.fromEntries([...known, current].filter(Boolean).map((name) => [name, textOf(name)])) };
}

/** The form for a model with these `kinds`; `change(changes)` is called with the filters that the reader sets. */
export function filterForm(query, models, kinds, change) {
  const classes = choices(kinds.classes, query.class, (cls) => [cls, nameOf(cls)].filter(Boolean).join(": "));
  const groups = choices(kinds.groups, query.group, (group) => (Object.hasOwn(GROUP_NAMES, group) ? GROUP_NAMES[group] : group));
  const least = { "": "Any", 0.5: "50 % and more", 0.8: "80 % and more", 0.95: "95 % and more" };
  const references = { "": "production", ...Object.fromEntries(models.map(({ name, version }) => [`${name}@${version}`, `${name}, version ${version}`])) };
  const byHand = { "": "All", true: "Not labelled by hand" };
  return h("form", { class: "filters", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
    text("Object id contains", "search", "5877", query, change, "search"),
    text("Cone: RA Dec radius", "cone", "10:00:28.6 +02:12:21 30 arcsec", query, change),
    select("Class", "class", classes, query, change), select("Group", "group", groups, query, change),
    select("Probability", "min_probability", least, query, change), select("Labels", "unlabelled", byHand, query, change),
    select("Order", "sort", SORTS, query, change), select("Model", "model", references, query, change));
}
