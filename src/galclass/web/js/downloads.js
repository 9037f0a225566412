/** The results as files: CSV and Parquet with the columns of the record and the labels, and a self-contained HTML report. */

import { ApiError, inWords } from "./api.js";
import { imported } from "./connection.js";
import { h } from "./dom.js";
import { CLASSES } from "./morphology.js";
import { notify } from "./notices.js";
import { asParquet } from "./parquet.js";

const PARQUET = "application/vnd.apache.parquet";

const BEFORE = ["file", "object_id", "predicted_class", "predicted_group"];
const AFTER = ["prediction_set", "flags", "error", "model_name", "model_version", "model_sha256", "scored_at"];
const LABELS = ["human_label", "labelled_by", "labelled_at"];
const TEXTS = new Set([...BEFORE, ...AFTER, ...LABELS, "all_labels"].filter((name) => name !== "model_version"));

const FORMULA = /^'*(?:[\s\x00-\x1f\u0085\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])/;
const NUMBER = /^(?:[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-][0-9]{1,3}([: ])[0-9]{1,2}(?:\1[0-9]{1,2})?(?:\.[0-9]*)?|[+-])$/;

/** A CSV field; text that a spreadsheet would run as a formula gets an apostrophe in front, by the rule of csv_cells.py. */
export function field(value) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && FORMULA.test(text) && !NUMBER.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function valuesOf(item) {
  const record = item.record ?? {};
  const values = {
    file: item.name,
    object_id: item.objectId,
    predicted_class: record.predicted_class,
    predicted_group: record.predicted_group,
    prediction_set: (record.prediction_set ?? []).join("|"),
    flags: (record.flags ?? []).join("|"),
    error: item.reason || null,
    model_name: record.model?.name,
    model_version: record.model?.version,
    model_sha256: record.model?.sha256,
    scored_at: item.scoredAt,
  };
  Object.assign(values, labelValues(item));
  for (const [cls, value] of Object.entries(record.probabilities ?? {})) values[`predicted_${cls}`] = value;
  for (const [answer, { fraction, low, high }] of Object.entries(record.vote_fractions ?? {})) {
    Object.assign(values, { [`${answer}_debiased`]: fraction, [`${answer}_debiased_low`]: low, [`${answer}_debiased_high`]: high });
  }
  for (const [answer, { fraction, low, high }] of Object.entries(record.raw_vote_fractions ?? {})) {
    Object.assign(values, { [`${answer}_raw`]: fraction, [`${answer}_raw_low`]: low, [`${answer}_raw_high`]: high });
  }
  return values;
}

/** The newest hand label, and all if there are several. */
function labelValues({ labels }) {
  const all = Object.entries(labels).sort(([, a], [, b]) => b.at.localeCompare(a.at));
  if (!all.length) return {};
  const [[by, { label, at }]] = all;
  return { human_label: label, labelled_by: by, labelled_at: at, ...(all.length > 1 && { all_labels: all.map(([name, one]) => `${name}: ${one.label}`).join("|") }) };
}

const isRaw = (column) => /_raw(_low|_high)?$/.test(column);

const isFinished = ({ record, status }) => Boolean(record) || ["rejected", "failed"].includes(status);

/** Rows of the finished items, and their columns: those of the record with the models' classes, of labels, of votes. */
function tableOf(items, labels = false) {
  const finished = items.filter(isFinished);
  const classes = new Set(finished.flatMap(({ record }) => Object.keys(record?.probabilities ?? {})));
  const shares = (classes.size ? [...classes] : CLASSES).map((cls) => `predicted_${cls}`);
  const rows = finished.map(valuesOf);
  const given = labels || rows.some((row) => "human_label" in row) ? LABELS : [];
  const found = [...new Set([...BEFORE, ...shares, ...AFTER, ...given, ...rows.flatMap(Object.keys)])];
  return { rows, columns: [...found.filter((column) => !isRaw(column)), ...found.filter(isRaw)] };
}

/** The finished items as CSV text. */
export function asCsv(items) {
  const { rows, columns } = tableOf(items);
  const lines = rows.map((values) => columns.map((column) => field(values[column])).join(","));
  return `${[columns.map(field).join(","), ...lines].join("\r\n")}\r\n`;
}

const kindOf = (column) => (column === "model_version" ? "int32" : TEXTS.has(column) ? "string" : "float64");

/** The finished items as Parquet; the columns of labels are there even if nothing is labelled. */
function parquetOf(items) {
  const { rows, columns } = tableOf(items, true);
  return new Blob(asParquet(rows, columns.map((column) => [column, kindOf(column)])));
}

/** What a file of the items shown contains, and what it leaves out, in words. */
function writtenText(name, written, shown, all) {
  const left = [[shown - written, "not finished"], [all - shown, "hidden by filters"]].filter(([count]) => count);
  const rest = left.length ? ` Not in it: ${left.map(([count, why]) => `${count} ${why}`).join(", ")}.` : "";
  return `${written} image${written === 1 ? "" : "s"} written to ${name}.${rest}`;
}

/** Hand a text or blob to the browser as a file. */
export function save(content, name, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** The buttons; all use the images that are shown, in their order. */
export function downloads(store) {
  const said = h("span", { class: "fault", role: "status" });
  const button = (text, make, name, type) => h("button", { type: "button", class: "quiet", onclick: async (event) => {
    const { target } = event;
    target.disabled = true;
    said.textContent = "";
    try {
      const shown = store.visible();
      const finished = shown.filter(isFinished); // others may finish while the file is written
      const told = writtenText(name, finished.length, shown.length, store.items.length);
      save(await make(finished), name, type);
      notify(told, { key: "download" });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      said.textContent = inWords(error);
    } finally {
      target.disabled = false;
      if (document.activeElement === document.body) target.focus({ preventScroll: true }); // a disabled button loses the focus
    }
  } }, text);
  return [h("div", { class: "downloads", role: "group", "aria-label": "Download" },
    button("CSV", asCsv, "galclass.csv", "text/csv"),
    button("Parquet", parquetOf, "galclass.parquet", PARQUET),
    button("Report", async (shown) => (await imported(() => import("./report.js"))).writeReport(shown), "galclass-report.html", "text/html")), said];
}
