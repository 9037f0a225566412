/** A self-contained HTML report: pictures as data, no scripts, nothing from outside. */

import { CLASSES, CLASS_NAMES, GROUP_NAMES, percent } from "./morphology.js";

const PICTURE_PX = 160;

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; list-style: none; padding: 0 }
li { border: 1px solid #8886; border-radius: 6px; padding: .8rem; overflow-wrap: anywhere }
img { width: 100%; image-rendering: auto; background: #000 }
h2 { margin: .4rem 0 0; font-size: 1.1rem } p { margin: .2rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } td, th { padding: .1rem .6rem .1rem 0; text-align: left; font-weight: normal }
meter { width: 8rem }`;

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
  for (const cls of CLASSES.filter((name) => probabilities[name] >= 0.01).sort((a, b) => probabilities[b] - probabilities[a])) {
    const line = element(page, "tr");
    const meter = element(page, "td");
    meter.append(element(page, "meter", null, { value: probabilities[cls].toFixed(4), "aria-label": cls }));
    line.append(element(page, "th", cls, { scope: "row" }), meter, element(page, "td", percent(probabilities[cls])));
    table.append(line);
  }
  return table;
}

async function entry(page, item) {
  const node = element(page, "li");
  try {
    node.append(element(page, "img", null, { src: await pictureData(item.url), alt: "" }));
  } catch (error) {
    if (error.name !== "EncodingError") throw error; // the browser cannot draw this file: no picture
  }
  if (!item.record) {
    node.append(element(page, "h2", "Rejected"), element(page, "p", item.reason), element(page, "p", item.name));
    return node;
  }
  const { predicted_class: cls, predicted_group: group, probabilities, flags = [] } = item.record;
  node.append(element(page, "h2", `${cls}: ${CLASS_NAMES[cls] ?? cls}`), element(page, "p", GROUP_NAMES[group] ?? group));
  if (flags.length) node.append(element(page, "p", `Flags: ${flags.join(", ")}`));
  node.append(spread(page, probabilities), element(page, "p", item.name));
  return node;
}

/** The report on items that are finished, as one HTML text. */
export async function writeReport(items) {
  const page = document.implementation.createHTMLDocument("galclass report");
  page.documentElement.lang = "en";
  page.head.prepend(element(page, "meta", null, { charset: "utf-8" }), element(page, "meta", null, { name: "viewport", content: "width=device-width" }));
  const finished = items.filter((item) => item.record || item.status === "rejected");
  const model = finished.find((item) => item.record)?.record.model;
  const list = element(page, "ul");
  for (const item of finished) list.append(await entry(page, item));
  page.body.append(element(page, "h1", "Galaxy morphology"));
  page.body.append(element(page, "p", `${finished.length} image${finished.length === 1 ? "" : "s"}, ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`));
  if (model) page.body.append(element(page, "p", `Model ${model.name}, version ${model.version}, sha256 ${model.sha256}`));
  page.body.append(list);
  const text = page.documentElement.outerHTML.replace("</head>", `<style>${STYLE}\n</style></head>`); // this page's policy forbids a style element
  return `<!doctype html>\n${text}\n`;
}
