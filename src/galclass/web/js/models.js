/** The view "Models": versions, aliases, and one model's figures, matrices, card and history. */

import { decoded, getJson, pathOf } from "./api.js";
import { compareSection } from "./compare.js";
import { h } from "./dom.js";
import { fill } from "./loading.js";
import { confusion, figures, reliability } from "./metrics.js";

/** A time of the API, in UTC, to the minute. */
export function timeText(text) {
  return text ? `${text.slice(0, 16).replace("T", " ")} UTC` : "";
}

/** Chips of aliases. */
export function aliasChips(aliases) {
  return aliases.map((alias) => h("span", { class: "chip" }, alias));
}

function versionRow(model, chosen) {
  const address = `#/models/${encodeURIComponent(model.name)}/${model.version}`;
  const current = chosen?.name === model.name && chosen?.version === model.version;
  return h("tr", {}, h("th", { scope: "row" }, h("a", { href: address, "aria-current": current ? "true" : null }, `${model.name} ${model.version}`)),
    h("td", {}, aliasChips(model.aliases)), h("td", { class: "measured" }, measured(model.accuracy)), h("td", {}, timeText(model.created_at)), h("td", {}, model.created_by),
    h("td", { class: "hash" }, model.sha256.slice(0, 12)));
}

/** Accuracy with its 95 % interval and what it was measured on. */
function measured(accuracy) {
  if (!accuracy) return h("span", { class: "note" }, "not evaluated");
  const { accuracy: value, low, high, count, table } = accuracy;
  return [h("b", {}, value.toFixed(3)), h("span", { class: "interval" }, ` ${low.toFixed(3)} to ${high.toFixed(3)}, ${table}, ${count.toLocaleString("en")} galaxies`)];
}

function versions(models, chosen) {
  const heads = ["Version", "Aliases", "Accuracy (95 %)", "Registered", "By", "sha256"];
  return h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Versions of models" }, h("table", { class: "listing" },
    h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, models.map((model) => versionRow(model, chosen)))));
}

function facts(model) {
  const { input = {}, views, trained = {} } = model.signature;
  const pairs = [
    ["Input", input.size_px && `${input.size_px} × ${input.size_px} px, central ${(100 * input.crop_fraction).toFixed(1)} % of the frame`],
    ["Views", views && JSON.stringify(views).replace(/["{}[\]]/g, " ").trim()],
    ["Seed", trained.seed],
    ["Registered", `${timeText(model.created_at)} by ${model.created_by}`],
    ["sha256", model.sha256],
  ];
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== undefined && value !== "").map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, String(value)))));
}

function aliasLog(moves) {
  if (!moves.length) return null;
  const line = ({ alias, old, new: fresh, set_at: at, set_by: by }) => {
    const move = fresh === null ? `${alias} removed from ${old}` : `${alias} now points to ${fresh}${old === null ? "" : `, before: ${old}`}`;
    return h("li", {}, `${timeText(at)}: ${move} (${by})`);
  };
  return [h("h3", {}, "History of the aliases"), h("ul", { class: "log" }, moves.map(line))];
}

function description(model, models, signal) {
  const tables = Object.entries(model.metrics.tables ?? {});
  return h("article", { class: "sheet-block" },
    h("h2", {}, `${model.name}, version ${model.version} `, aliasChips(model.aliases)),
    facts(model), figures(tables),
    h("div", { class: "plots" }, tables.filter(([, table]) => table.confusion).map(([title, table]) => confusion(`${model.name}@${model.version}`, title, table, signal)), reliability(model.metrics.reliability)),
    compareSection(model, models, signal),
    model.card && [h("h3", {}, "Model card"), h("div", { class: "model-card" }, model.card)],
    aliasLog(model.alias_log));
}

/** The version that the address names, which may not exist; without one, production. */
function chosenOf(models) {
  const [, name, version] = location.hash.replace(/^#\//, "").split("/").map(decoded);
  if (name) return models.find((model) => model.name === name && (!version || String(model.version) === version || model.aliases.includes(version)));
  return models.find((model) => model.aliases.includes("production")) ?? models.at(-1);
}

function notThere() {
  const [, name, version] = location.hash.replace(/^#\//, "").split("/").map(decoded);
  return h("p", { class: "fault", role: "alert" }, version ? `No version ${version} of a model ${name} is registered. Choose one of those above.` : `No model ${name} is registered. Choose one of those above.`);
}

/** Build the view. */
export function modelsView(signal) {
  const list = h("div");
  const one = h("div");
  fill(list, async () => {
    const { models } = await getJson("v1/models", { signal });
    if (!models.length) return h("p", { class: "nothing" }, "No model is registered. galclass register puts the trained one into the registry.");
    const chosen = chosenOf(models);
    if (!chosen) {
      one.replaceChildren(notThere());
      return versions(models, null);
    }
    fill(one, async () => description(await getJson(pathOf("models", chosen.name, chosen.version), { signal }), models, signal), signal);
    return versions(models, chosen);
  }, signal);
  return [h("div", { class: "view-head" }, h("h1", {}, "Models")), list, one];
}
