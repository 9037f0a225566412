/** The view "Catalog": stored predictions, filtered, sorted, paged, on a map of the sky; labels by hand; files of all rows. */

import { ApiError, getJson } from "./api.js";
import { filterForm, kindsOf, toParameters } from "./catalog-filters.js";
import { catalogTable, pager } from "./catalog-table.js";
import { Detail } from "./detail.js";
import { h } from "./dom.js";
import { exportButtons } from "./exports.js";
import { labelSection } from "./label.js";
import { fill, patiently } from "./loading.js";
import { pictureUrl } from "./pictures.js";
import { skyMap } from "./sky.js";
import { fetchItem, itemOfRow } from "./stored-item.js";

const PAGE_SIZE = 50;
const DEFAULTS = { search: "", model: "", class: "", group: "", min_probability: "", cone: "", unlabelled: "", sort: "", page: "1", view: "table" };

function readAddress() {
  return { ...DEFAULTS, ...Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? "")) };
}

function addressOf(query) {
  const changed = Object.entries(query).filter(([key, value]) => key in DEFAULTS && value !== DEFAULTS[key]);
  return `#/catalog${changed.length ? `?${new URLSearchParams(changed)}` : ""}`;
}

/** Build the view; `signal` ends it. */
export function catalogView(signal) {
  let query = readAddress();
  let items = [];
  const results = h("div", { class: "results" });
  const filters = h("div", { class: "filter-place" });
  const heading = h("h1", { tabindex: -1 }, "Catalog");
  const refocus = (item) => {
    const button = [...results.querySelectorAll(".listing .as-link")].find((one) => one.textContent === item.objectId);
    (button ?? heading).focus({ preventScroll: !button });
  };
  const detail = new Detail(() => items, {
    sections: (item) => [labelSection(item, () => afterLabel(item))],
    pictureOf: (item) => pictureUrl(item.objectId),
    closed: refocus,
    openId: (objectId) => openId(objectId),
  });
  const load = () => fill(results, async () => (query.view === "sky" ? [await skyMap(toParameters(query), openId, (cone) => change({ cone, view: "table" }))] : page()), signal);
  const page = async () => {
    const found = await getJson(`v1/predictions?${toParameters({ ...query, page_size: PAGE_SIZE })}`, { signal });
    const rows = found.predictions.map(itemOfRow);
    const turn = (to) => change({ page: String(to) });
    return [pager(found, turn), catalogTable(found, (row) => {
      items = rows;
      detail.open(rows.find(({ key }) => key === row.object_id));
    }), found.total > found.page_size && pager(found, turn)];
  };
  /** Open an object that may not be on this page, such as a neighbour: its row by the same model. */
  const openId = (objectId) => {
    if (!detail.element.open) items = []; // from the sky map: the rows of the last table may be those of another model
    const known = items.find(({ key, record }) => key === objectId && record);
    if (known) return detail.open(known);
    const model = query.model || (detail.element.open ? modelOf(detail.item) : "");
    return detail.openFetched(objectId, () => fetchItem(objectId, model, signal));
  };
  const modelOf = (item) => (item ? `${item.record.model.name}@${item.record.model.version}` : "");
  const change = (changes, { turnBack = false } = {}) => {
    query = { ...query, page: "1", ...changes };
    if (!turnBack) history.pushState(null, "", addressOf(query)); // Back undoes a filter
    load();
    for (const button of modes) button.setAttribute("aria-pressed", String(button.dataset.view === query.view));
  };
  const draw = () => fill(filters, async () => {
    const [{ models }, kinds] = await Promise.all([getJson("v1/models", { signal }), kindsOf(query.model, signal)]);
    return filterForm(query, models, kinds, (changes) => ("model" in changes ? chooseModel(changes.model) : change(changes)));
  }, signal);
  /** Another model keeps the class and group that are set if it has them. */
  let choosing = null; // the model that was chosen last
  const chooseModel = async (model) => {
    const turn = (choosing = Symbol(model));
    const kinds = await patiently(() => kindsOf(model, signal)).catch((error) => (error instanceof ApiError ? { classes: [], groups: [] } : Promise.reject(error)));
    if (signal.aborted || turn !== choosing) return;
    change({ model, class: kinds.classes.includes(query.class) ? query.class : "", group: kinds.groups.includes(query.group) ? query.group : "" });
    draw();
  };
  window.addEventListener("popstate", () => {
    if (!location.hash.startsWith("#/catalog")) return;
    choosing = null;
    change(readAddress(), { turnBack: true });
    draw();
  }, { signal });
  const afterLabel = (item) => {
    const rest = items.filter((other) => other.record && !other.label);
    const looks = detail.element.open && detail.element.isConnected && detail.item === item; // else the reader went on with a key, closed the details or left
    if (query.unlabelled && rest.length && looks) detail.open(rest[0]);
    else detail.refresh(item);
    load();
  };
  const modes = ["table", "sky"].map((view) => h("button", { type: "button", class: "quiet", "data-view": view, "aria-pressed": String(query.view === view), onclick: () => change({ view }) }, view === "table" ? "Table" : "Sky map"));
  const labelNext = () => {
    change({ ...DEFAULTS, model: query.model, unlabelled: "true", sort: "uncertainty" });
    draw();
  };
  draw();
  load();
  return [
    h("div", { class: "view-head" }, heading,
      h("div", { class: "actions" },
        h("div", { class: "modes", role: "group", "aria-label": "View" }, modes),
        h("button", { type: "button", onclick: labelNext }, "Label the most useful next"),
        exportButtons(() => query))),
    filters, results, detail.element,
  ];
}
