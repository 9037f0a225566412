/** A self-contained HTML report: pictures as data, nothing from outside; classes can be chosen in it and saved. */

import { labelsInWords } from "./label.js";
import { classesOf, flagText, GROUP_NAMES, nameOf, percent } from "./morphology.js";
import { REPORT } from "./report-labels.js";
import { labelling } from "./report-script.js";

const PICTURE_PX = 160;

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; list-style: none; padding: 0 }
li { border: 1px solid #8886; border-radius: 6px; padding: .8rem; overflow-wrap: anywhere }
img { width: 100%; image-rendering: auto; background: #000 }
h2 { margin: .4rem 0 0; font-size: 1.1rem } p { margin: .2rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } td, th { padding: .1rem .6rem .1rem 0; text-align: left; font-weight: normal }
meter { width: 8rem }
select, input, button { font: inherit; padding: .2rem .5rem }
.mine { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin-top: .5rem }
.labels { position: sticky; top: 0; background: Canvas; border: 1px solid #8886; border-radius: 6px; padding: .6rem .8rem; display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .1rem 1rem } dl div { display: flex; gap: .5rem } dt { min-width: 2.4rem; font-weight: 600 } dd { margin: 0 }`;

const POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"; // nothing is fetched or sent

function element(document_, tag, text = null, attributes = {}) {
  const node = document_.createElement(tag);
  if (text !== null) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

async function pictureData(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  const scale = Math.min(1, PICTURE_PX / Math.max(image.naturalWidth, image.naturalHeight));
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.85);
}

function spread(page, probabilities) {
  const table = element(page, "table");
  for (const cls of classesOf(probabilities).filter((name) => probabilities[name] >= 0.01).sort((a, b) => probabilities[b] - probabilities[a])) {
    const line = element(page, "tr");
    const meter = element(page, "td");
    meter.append(element(page, "meter", null, { value: probabilities[cls].toFixed(4), "aria-label": cls }));
    line.append(element(page, "th", cls, { scope: "row" }), meter, element(page, "td", percent(probabilities[cls])));
    table.append(line);
  }
  return table;
}

const worded = (cls) => [cls, nameOf(cls)].filter(Boolean).join(": ");

/** The reader's choice of a class. */
function choice(page, item, index) {
  const select = element(page, "select", null, { "data-image": index, id: `class-${index}` });
  for (const cls of ["", ...classesOf(item.record.probabilities)]) select.append(element(page, "option", worded(cls), { value: cls }));
  const line = element(page, "p", null, { class: "mine" });
  line.append(element(page, "label", "Your class", { for: `class-${index}` }), select);
  return line;
}

async function entry(page, item, index) {
  const node = element(page, "li");
  try {
    node.append(element(page, "img", null, { src: await pictureData(item.url), alt: "" }));
  } catch (error) {
    if (error.name !== "EncodingError") throw error; // the browser cannot draw this file: no picture
  }
  if (!item.record) {
    node.append(element(page, "h2", item.status === "failed" ? "Not classified" : "Rejected"), element(page, "p", item.reason), element(page, "p", item.name));
    return node;
  }
  const { predicted_class: cls, predicted_group: group, probabilities, flags = [], prediction_set: set = [] } = item.record;
  node.append(element(page, "h2", worded(cls)), element(page, "p", GROUP_NAMES[group] ?? group ?? ""));
  if (set.length > 1) node.append(element(page, "p", `Cannot be ruled out: ${set.join(", ")}`));
  if (flags.length) node.append(element(page, "p", flags.map(flagText).join(", ")));
  if (Object.keys(item.labels).length) node.append(element(page, "p", `Labelled ${labelsInWords(item)}`));
  node.append(spread(page, probabilities), element(page, "p", item.name), choice(page, item, index));
  return node;
}

/** The models that classified the images: one line each, with how many it classified if there are several. */
function modelLines(page, items) {
  const counts = new Map();
  for (const { record } of items) {
    if (!record?.model) continue;
    const { name, version, sha256 } = record.model;
    const text = `Model ${name}, version ${version}, sha256 ${sha256}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => element(page, "p", counts.size > 1 ? `${text}: ${count} image${count === 1 ? "" : "s"}` : text));
}

/** The number of images of each class. */
function summary(page, items) {
  const counts = new Map();
  for (const { record } of items) if (record) counts.set(record.predicted_class, (counts.get(record.predicted_class) ?? 0) + 1);
  const list = element(page, "dl");
  for (const [cls, count] of [...counts].sort((a, b) => b[1] - a[1])) {
    const line = element(page, "div");
    line.append(element(page, "dt", cls), element(page, "dd", [nameOf(cls), count].filter(Boolean).join(": ")));
    list.append(line);
  }
  return list;
}

function labelBar(page) {
  const bar = element(page, "div", null, { class: "labels", role: "group", "aria-label": "Your labels" });
  const name = element(page, "input", null, { id: "author", type: "text", maxlength: 60, autocomplete: "name" });
  bar.append(element(page, "span", "Choose a class where you disagree or are sure.", { id: "told", role: "status" }), element(page, "label", "Your name", { for: "author" }), name,
    element(page, "button", "Save labels", { type: "button", id: "save-labels" }), element(page, "button", "Save this report with the labels", { type: "button", id: "save-report" }));
  return bar;
}

/** The report's data; text from files cannot end the element that contains it. */
function dataElement(page, items) {
  const models = items.map(({ record }) => record?.model).filter(Boolean);
  const model = models.every(({ sha256 }) => sha256 === models[0].sha256) ? models[0] : null; // of all images or of none
  const images = items.map(({ objectId, name, file }) => ({ object_id: objectId, name, size_bytes: file?.size ?? null }));
  const data = { format: REPORT.format, version: REPORT.version, model: model ?? null, images, author: "", labels: [] };
  return element(page, "script", JSON.stringify(data).replaceAll("<", "\\u003c"), { type: "application/json", id: REPORT.element });
}

/** The report on finished items, as one HTML text. */
export async function writeReport(items) {
  const page = document.implementation.createHTMLDocument("galclass report");
  page.documentElement.lang = "en";
  page.head.prepend(element(page, "meta", null, { charset: "utf-8" }), element(page, "meta", null, { "http-equiv": "Content-Security-Policy", content: POLICY }), element(page, "meta", null, { name: "viewport", content: "width=device-width" }));
  const finished = items.filter((item) => item.record || ["rejected", "failed"].includes(item.status));
  const list = element(page, "ul");
  for (const [index, item] of finished.entries()) list.append(await entry(page, item, index));
  page.body.append(element(page, "h1", "Galaxy morphology"));
  page.body.append(element(page, "p", `${finished.length} image${finished.length === 1 ? "" : "s"}, ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`));
  page.body.append(...modelLines(page, finished));
  page.body.append(summary(page, finished), labelBar(page), list, element(page, "p", "To import the labels, drop the saved labels or report on the page that made it."), dataElement(page, finished), element(page, "script", `(${labelling})();`));
  const text = page.documentElement.outerHTML.replace("</head>", `<style>${STYLE}\n</style></head>`); // this page's policy forbids a style element
  return `<!doctype html>\n${text}\n`;
}
