/** The view "Catalog": stored predictions, paged, sorted and filtered; labels by hand. */

import { getJson, pathOf, request } from "./api.js";
import { Detail } from "./detail.js";
import { h, labelled } from "./dom.js";
import { save } from "./downloads.js";
import { labelSection } from "./label.js";
import { fill, patiently } from "./loading.js";
import { CLASSES, CLASS_NAMES, flagText, groupOf, GROUPS, GROUP_NAMES, percent } from "./morphology.js";
import { storedPicture } from "./pictures.js";

const PAGE_SIZE = 50;
const SORTS = {
  object_id: "Object id",
  "-probability": "Most certain first",
  uncertainty: "Least certain first",
  class: "Class",
  ra: "Right ascension",
  dec: "Declination",
  "-scored_at": "Newest first",
};
const DEFAULTS = { model: "", class: "", group: "", min_probability: "", cone: "", unlabelled: "", sort: "object_id", page: "1" };

function readAddress() {
  return { ...DEFAULTS, ...Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? "")) };
}

function writeAddress(query) {
  const changed = Object.entries(query).filter(([key, value]) => key in DEFAULTS && value !== DEFAULTS[key]);
  history.replaceState(null, "", `#/catalog${changed.length ? `?${new URLSearchParams(changed)}` : ""}`);
}

function apiPath(query) {
  const given = Object.entries(query).filter(([key, value]) => key in DEFAULTS && value !== "");
  return `v1/predictions?${new URLSearchParams([...given, ["page_size", PAGE_SIZE]])}`;
}

function asItem(row) {
  const { object_id: objectId, model_name: name, model_version: version } = row;
  const record = { ...row, model: { name, version, sha256: "" }, vote_fractions: {} };
  return { key: objectId, name: objectId, objectId, url: pathOf("images", objectId), record: row.predicted_class && record, label: row.human_label, file: null };
}

function rowOf(item, row, open) {
  const place = row.ra === null ? "" : `${row.ra.toFixed(4)}, ${row.dec >= 0 ? "+" : ""}${row.dec.toFixed(4)}`;
  const cls = row.predicted_class;
  return h("tr", { class: cls ? `group-${groupOf(cls)}` : "" },
    h("td", { class: "thumb" }, storedPicture(row.object_id, 56)),
    h("th", { scope: "row" }, cls ? h("button", { type: "button", class: "as-link", onclick: () => open(item) }, row.object_id) : row.object_id),
    h("td", { class: "class-cell" }, cls ? [h("span", { class: "code" }, cls), h("span", { class: "name" }, CLASS_NAMES[cls])] : h("span", { class: "fault" }, row.error ?? "no answer")),
    h("td", { class: "meter-cell" }, cls && [h("span", { class: "meter" }, h("span", { class: "bar", style: { width: `${100 * row.probability}%` } })), percent(row.probability)]),
    h("td", { class: "flags" }, row.flags.map(flagText).join(", ")),
    h("td", { class: "place" }, place),
    h("td", { class: "human" }, row.human_label ?? ""));
}

function table(page, open) {
  if (!page.total) return h("p", { class: "nothing" }, "No stored prediction passes these filters. galclass score --pending fills the catalog.");
  const heads = ["Image", "Object", "Class", "Probability", "Flags", "RA, Dec (°)", "By hand"];
  const items = page.predictions.map(asItem);
  return h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Stored predictions" }, h("table", { class: "listing" },
    h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, items.map((item, index) => rowOf(item, page.predictions[index], open)))));
}

function pager(page, turn) {
  const pages = Math.max(1, Math.ceil(page.total / page.page_size));
  const button = (text, to) => h("button", { type: "button", class: "quiet", disabled: to < 1 || to > pages, onclick: () => turn(to) }, text);
  return h("nav", { class: "pager", "aria-label": "Pages" }, button("Previous", page.page - 1),
    h("p", {}, `Page ${page.page} of ${pages}, ${page.total.toLocaleString("en")} galax${page.total === 1 ? "y" : "ies"}`), button("Next", page.page + 1));
}

function select(label, name, choices, query, change) {
  const options = Object.entries(choices).map(([value, text]) => h("option", { value, selected: query[name] === value }, text));
  return labelled(label, h("select", { name, onchange: (event) => change({ [name]: event.target.value }) }, options));
}

function text(label, name, hint, query, change) {
  const onchange = (event) => change({ [name]: event.target.value.replaceAll(" ", "") });
  return labelled(label, h("input", { type: "text", name, value: query[name], placeholder: hint, onchange }));
}

function form(query, models, change) {
  const classes = { "": "All", ...Object.fromEntries(CLASSES.map((cls) => [cls, `${cls}: ${CLASS_NAMES[cls]}`])) };
  const groups = { "": "All", ...Object.fromEntries(Object.keys(GROUPS).map((group) => [group, GROUP_NAMES[group]])) };
  const least = { "": "Any", 0.5: "50 % and more", 0.8: "80 % and more", 0.95: "95 % and more" };
  const references = { "": "production", ...Object.fromEntries(models.map(({ name, version }) => [`${name}@${version}`, `${name}, version ${version}`])) };
  const labelled = { "": "All", true: "Not labelled by hand" };
  return h("form", { class: "filters", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
    select("Class", "class", classes, query, change), select("Group", "group", groups, query, change),
    select("Probability", "min_probability", least, query, change), select("Labels", "unlabelled", labelled, query, change),
    text("Cone (degrees)", "cone", "RA, Dec, radius", query, change),
    select("Order", "sort", SORTS, query, change), select("Model", "model", references, query, change));
}

async function download(query, type, name) {
  const response = await patiently(() => request(apiPath(query), { headers: { Accept: type } }));
  save(await response.blob(), name, type);
}

/** Build the view; `signal` ends it. */
export function catalogView(signal) {
  let query = readAddress();
  let items = [];
  const results = h("div", { class: "results" });
  const detail = new Detail(() => items, { sections: (item) => [labelSection(item, () => afterLabel(item))] });
  const afterLabel = (item) => {
    const rest = items.filter((other) => other.record && !other.label);
    if (query.unlabelled && rest.length) detail.open(rest[0]);
    else detail.open(item);
    load();
  };
  const load = () => fill(results, async () => {
    const page = await getJson(apiPath(query), { signal });
    if (!detail.element.open) items = page.predictions.map(asItem);
    return [pager(page, (to) => change({ page: String(to) })), table(page, (item) => (items = page.predictions.map(asItem), detail.open(items.find(({ key }) => key === item.key)))), page.total > page.page_size && pager(page, (to) => change({ page: String(to) }))];
  }, signal);
  const change = (changes) => {
    query = { ...query, page: "1", ...changes };
    writeAddress(query);
    load();
  };
  const filters = h("div", { class: "filter-place" });
  fill(filters, async () => form(query, (await getJson("v1/models", { signal })).models, change), signal);
  load();
  const labelNext = () => {
    change({ ...DEFAULTS, model: query.model, unlabelled: "true", sort: "uncertainty" });
    fill(filters, async () => form(query, (await getJson("v1/models", { signal })).models, change), signal);
  };
  return [
    h("div", { class: "view-head" }, h("h1", {}, "Catalog"),
      h("div", { class: "actions" },
        h("button", { type: "button", onclick: labelNext }, "Label the most useful next"),
        h("button", { type: "button", class: "quiet", onclick: () => download(query, "text/csv", "catalog.csv") }, "Page as CSV"),
        h("button", { type: "button", class: "quiet", onclick: () => download(query, "application/vnd.apache.parquet", "catalog.parquet") }, "Page as Parquet"))),
    filters, results, detail.element,
  ];
}
