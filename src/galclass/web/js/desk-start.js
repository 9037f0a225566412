/** The start of the label desk: the class to look for, and the existing desks. */

import { getJson } from "./api.js";
import { addressOfDesk, GALAXY_ZOO } from "./desk-address.js";
import { h, labelled } from "./dom.js";
import { fill } from "./loading.js";
import { timeText } from "./models.js";
import { CLASSES } from "./morphology.js";

/** A name for a desk from the target class: letters, digits and hyphens; other scripts are written as code points. */
export function deskName(text) {
  const plain = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
  return (plain || `desk-${[...text].map((one) => one.codePointAt(0).toString(16)).join("-")}`).slice(0, 64).replace(/-+$/, "");
}

function go(wanted) {
  location.hash = addressOfDesk(wanted);
}

function startForm(models) {
  const target = h("input", { type: "text", required: true, maxlength: 40, autocomplete: "off", placeholder: "ring" });
  const others = h("input", { type: "text", maxlength: 400, autocomplete: "off", placeholder: "no ring" });
  const model = h("select", {}, models.map(({ name, version, aliases }) =>
    h("option", { value: `${name}@${version}`, selected: name === "galaxy" && aliases.includes("production") }, `${name} ${version}${aliases.length ? ` (${aliases.join(", ")})` : ""}`)));
  const submit = (event) => {
    event.preventDefault();
    const wanted = target.value.trim();
    const classes = others.value.split(",").map((name) => name.trim()).filter(Boolean);
    if (wanted) go({ desk: deskName(wanted), target: wanted, classes: classes.length ? classes : [`no ${wanted}`.slice(0, 40)], model: model.value });
  };
  return h("form", { class: "desk-form", onsubmit: submit },
    labelled("What are you looking for?", target), labelled("Other classes, separated by commas", others), labelled("With the model", model),
    h("button", { type: "submit", class: "primary" }, "Start"));
}

function deskRow({ name, counts, people, last_at: at }, model) {
  const zoo = name === GALAXY_ZOO;
  const names = Object.keys(counts);
  const target = zoo ? "Sb" : names.find((one) => deskName(one) === name) ?? names.find((one) => !one.startsWith("no ")) ?? names[0];
  const rest = zoo ? [] : names.filter((one) => one !== target);
  const classes = rest.length || zoo ? rest : [`no ${target}`.slice(0, 40)];
  const told = Object.entries(counts).map(([label, count]) => `${label} ${count}`).join(", ") || "no class yet";
  const link = target ? h("a", { href: addressOfDesk({ desk: name, target, classes, model }) }, zoo ? "Galaxy Zoo classes" : target) : name;
  return h("tr", {}, h("th", { scope: "row" }, link), h("td", { class: "measured" }, told), h("td", {}, people.join(", ")), h("td", {}, timeText(at)));
}

function deskTable(desks, model) {
  const heads = ["Desk", "Objects labelled", "By", "Last"];
  return h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Desks" }, h("table", { class: "listing" },
    h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, desks.map((one) => deskRow(one, model)))));
}

/** Build the view without a desk. */
export function startDesk(signal) {
  const place = h("div");
  fill(place, async () => {
    const [{ desks }, { models }] = await Promise.all([getJson("v1/desks", { signal }), getJson("v1/models", { signal })]);
    if (!models.length) return h("p", { class: "nothing" }, "No model is registered; the desk needs one. galclass register puts one into the registry.");
    const known = models.find(({ name, aliases }) => name === "galaxy" && aliases.includes("production")) ?? models.at(-1);
    const model = `${known.name}@${known.version}`;
    const zoo = addressOfDesk({ desk: GALAXY_ZOO, target: "Sb", classes: [], model });
    return [startForm(models),
      h("p", { class: "note" }, "Name any class. You see one stored galaxy after the other, the most informative first, and press a key for each; after a few the rest is ranked by what you look for. ",
        h("a", { href: zoo }, `Label the ${CLASSES.length} Galaxy Zoo classes instead`), "."),
      desks.length ? [h("h2", {}, "Resume a desk"), deskTable(desks, model)] : null];
  }, signal);
  return [h("div", { class: "view-head" }, h("h1", { tabindex: -1 }, "Label desk")), place];
}
