/** Labels imported from a report: read from the report itself or from the file of labels that it saved. */

import { ApiError, change, inWords } from "./api.js";
import { field as csvField, save } from "./downloads.js";
import { h } from "./dom.js";
import { patiently } from "./loading.js";
import { CLASSES } from "./morphology.js";
import { notify } from "./notices.js";
import { guarded } from "./unsent.js";

/** Formats and version that the page writes into a report and a file of labels; others are refused. */
export const REPORT = { format: "galclass-report", labels: "galclass-labels", version: 1, element: "galclass-report" };

const LARGEST_BYTES = 64 * 1024 * 1024; // of a report with pictures
const LARGEST_LABELS_BYTES = 4 * 1024 * 1024;
const MOST = 10_000; // labels in a file
const A_REQUEST = 200; // labels sent to the server at a time
const TAG_LENGTH = 200; // of the start of an element
const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]+$/u;

class UnreadableReport extends Error {}

const isText = (value, most) => typeof value === "string" && value.length > 0 && value.length <= most && PRINTABLE.test(value) && value.trim() === value;

/** The contents of a page's elements for report data, at most two; found without parsing a page that may be hostile. */
function elementsIn(page) {
  const mark = `id="${REPORT.element}"`;
  const found = [];
  for (let at = page.indexOf(mark); at >= 0 && found.length < 2; at = page.indexOf(mark, at + 1)) {
    const before = page.slice(Math.max(0, at - TAG_LENGTH), at);
    if (!/<script\s[^<>]*type="application\/json"[^<>]*$/i.test(before)) continue; // the words are part of a text
    const start = page.indexOf(">", at) + 1;
    const end = page.indexOf("</script", start);
    found.push(page.slice(start, end < 0 ? undefined : end));
  }
  return found;
}

/** The data of a file: JSON, or a page that contains it; nothing in the page is run, fetched or shown. */
async function dataOf(file) {
  const json = /\.json$/i.test(file.name);
  if (file.size > (json ? LARGEST_LABELS_BYTES : LARGEST_BYTES)) throw new UnreadableReport("it is larger than a report can be");
  let text = await file.text().catch(() => {
    throw new UnreadableReport("it has changed or vanished since it was chosen");
  });
  if (!json) {
    const found = elementsIn(text);
    if (found.length !== 1) throw new UnreadableReport("it is not a galclass report");
    [text] = found;
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new UnreadableReport(json ? "it is not JSON" : "its labels cannot be read");
  }
}

/** Check the data of a file against the known classes; returns {author, labels, refused}, where `refused` are sentences. */
export function checked(data, classes = CLASSES) {
  if (data === null || typeof data !== "object" || ![REPORT.format, REPORT.labels].includes(data.format)) throw new UnreadableReport("it is not a galclass report");
  if (data.version !== REPORT.version) throw new UnreadableReport(`it is of version ${JSON.stringify(data.version)?.slice(0, 20)}; this page reads version ${REPORT.version}`);
  if (!Array.isArray(data.labels)) throw new UnreadableReport("it contains no list of labels");
  if (data.labels.length > MOST) throw new UnreadableReport(`it contains ${data.labels.length.toLocaleString("en")} labels; at most ${MOST.toLocaleString("en")} are read`);
  if (!data.labels.length) return { author: "", labels: [], refused: [] };
  if (!isText(data.author, 60)) throw new UnreadableReport("it does not say who gave the labels, in 1 to 60 characters");
  const labels = [];
  const refused = [];
  for (const one of data.labels) {
    const fault = faultOf(one, classes);
    if (fault) refused.push(fault);
    else labels.push({ objectId: one.object_id, size: Number.isInteger(one.size_bytes) ? one.size_bytes : null, label: one.label, at: timeOf(one.labelled_at) });
  }
  return { author: data.author, labels, refused };
}

function faultOf(one, classes) {
  if (one === null || typeof one !== "object" || !isText(one.object_id, 200)) return "a label of no object";
  if (!classes.includes(one.label)) return `${one.object_id.slice(0, 40)}: ${isText(one.label, 40) ? one.label : "its label"} is not a class`;
  return Number.isNaN(Date.parse(one.labelled_at)) ? `${one.object_id.slice(0, 40)}: it does not say when` : null;
}

/** A time of another clock, never ahead of ours. */
const timeOf = (text) => new Date(Math.min(Date.parse(text), Date.now())).toISOString();

/** Add an author's labels to the images of this visit; returns how many were new, changed, same, older, and those of images that are not here. */
export function merge({ author, labels }, store) {
  const outcome = { added: 0, changed: 0, same: 0, older: 0, elsewhere: [] };
  for (const one of labels) {
    const items = store.items.filter(({ objectId, file }) => objectId === one.objectId && (one.size === null || !file || file.size === one.size));
    if (!items.length) outcome.elsewhere.push(one);
    for (const [index, item] of items.entries()) {
      const before = item.labels[author];
      const kind = !before ? "added" : before.label === one.label ? "same" : before.at < one.at ? "changed" : "older";
      if (kind === "added" || kind === "changed") store.setLabel(item, author, { label: one.label, at: one.at });
      if (index === 0) outcome[kind] += 1; // two images with one name count once
    }
  }
  return outcome;
}

/** The 13 classes, and those of the models that classified images of this visit. */
const classesIn = (store) => [...new Set([...CLASSES, ...store.items.flatMap(({ record }) => Object.keys(record?.probabilities ?? {}))])];

const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

/** Counts that add up to the labels in the file, as sentences. */
export function outcomeText({ added, changed, same, older, elsewhere }, refused) {
  const told = [
    added && `${plural(added, "label")} added to images of this visit`, changed && `${changed} replacing an earlier one by the same person`,
    same && `${same} already known`, older && `${older} older than the one kept here`,
    elsewhere.length && `${elsewhere.length} of images that are not on this page`, refused.length && `${refused.length} refused`,
  ];
  return `${told.filter(Boolean).join("; ")}.`;
}

/** Send labels to the catalog, under their author; returns counts over all requests. */
async function storeAll({ author, labels: all }, told) {
  const labels = all.filter(({ label }) => CLASSES.includes(label));
  const left = all.length - labels.length ? ` ${all.length - labels.length} left out: the catalog takes the Galaxy Zoo classes alone.` : "";
  told(`Nothing stored.${left}`);
  const sum = { stored: 0, same: 0, older: 0, unknown: [] };
  for (let start = 0; start < labels.length; start += A_REQUEST) {
    const part = labels.slice(start, start + A_REQUEST).map(({ objectId, label, at }) => ({ object_id: objectId, label, labelled_at: at }));
    const found = await guarded(() => patiently(() => change("POST", "v1/labels/report", { author, labels: part })));
    for (const name of ["stored", "same", "older"]) sum[name] += found[name];
    sum.unknown.push(...found.unknown);
    told(`${sum.stored} stored, ${sum.same} stored before, ${sum.older} older than what is stored, ${sum.unknown.length} of objects not in the catalog.${left}`);
  }
}

function dialog(name, report, outcome) {
  const before = document.activeElement;
  const said = h("p", { class: "note", role: "status" });
  const asCsv = () => {
    const lines = [["object_id", "label", "labelled_by", "labelled_at"], ...report.labels.map(({ objectId, label, at }) => [objectId, label, report.author, at])];
    save(lines.map((line) => `${line.map(csvField).join(",")}\r\n`).join(""), "galclass-labels.csv", "text/csv");
  };
  const send = async ({ currentTarget: button }) => {
    if (button.ariaDisabled) return; // a second click would count the same labels as stored before
    button.ariaDisabled = "true"; // disabled, it would lose the focus
    said.textContent = "Storing…";
    try {
      await storeAll(report, (text) => (said.textContent = text));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      said.textContent = `${inWords(error)} Before that: ${said.textContent}`;
    } finally {
      button.ariaDisabled = null;
    }
    if (!said.isConnected) notify(`${name}: ${said.textContent}`, { key: `report ${name}` }); // the dialog was closed meanwhile
  };
  const element = h("dialog", { class: "small-dialog", "aria-labelledby": "report-title" },
    h("h2", { id: "report-title" }, `${plural(report.labels.length, "label")} by ${report.author}`), h("p", { class: "note" }, name),
    h("p", { class: "outcome" }, outcomeText(outcome, report.refused)),
    report.refused.length ? h("ul", { class: "log" }, report.refused.slice(0, 5).map((one) => h("li", {}, one)), report.refused.length > 5 && h("li", {}, `and ${report.refused.length - 5} more`)) : null, said,
    h("div", { class: "controls" }, h("button", { type: "button", class: "primary", onclick: () => element.close() }, "Close"),
      h("button", { type: "button", onclick: send }, "Store in the catalog"), h("button", { type: "button", onclick: asCsv }, "CSV")));
  element.addEventListener("close", () => (element.remove(), before?.isConnected && before.focus({ preventScroll: true })));
  document.body.append(element);
  element.showModal();
}

/** Read dropped reports one after the other; each unreadable one is named with the reason. */
export async function takeReports(files, store) {
  for (const file of files) {
    try {
      const report = checked(await dataOf(file), classesIn(store));
      if (!report.labels.length && !report.refused.length) notify(`${file.name} contains no labels.`, { key: `report ${file.name}` });
      else dialog(file.name, report, merge(report, store));
    } catch (error) {
      if (!(error instanceof UnreadableReport)) throw error;
      notify(`${file.name} is left out: ${error.message}.`, { key: `report ${file.name}` });
    }
  }
}
