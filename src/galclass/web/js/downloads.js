/** The results as files: CSV with the columns of the record, and a self-contained HTML report. */

import { h } from "./dom.js";
import { writeReport } from "./report.js";
import { CLASSES } from "./morphology.js";

const COLUMNS = [
  "file", "object_id", "predicted_class", "predicted_group", ...CLASSES.map((cls) => `predicted_${cls}`),
  "prediction_set", "flags", "error", "model_name", "model_version", "model_sha256", "scored_at",
];

/** A CSV field; text that a spreadsheet would run as a formula gets an apostrophe in front. */
export function field(value) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function row(item) {
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
  for (const cls of CLASSES) values[`predicted_${cls}`] = record.probabilities?.[cls];
  return COLUMNS.map((column) => field(values[column])).join(",");
}

/** The finished items as CSV text. */
export function asCsv(items) {
  const finished = items.filter((item) => item.record || item.status === "rejected");
  return `${[COLUMNS.join(","), ...finished.map(row)].join("\r\n")}\r\n`;
}

/** Hand a text or blob to the browser as a file. */
export function save(content, name, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** The two buttons; both take the images that are shown, in their order. */
export function downloads(store) {
  return h("div", { class: "downloads", role: "group", "aria-label": "Download" },
    h("button", { type: "button", class: "quiet", onclick: () => save(asCsv(store.visible()), "galclass.csv", "text/csv") }, "CSV"),
    h("button", { type: "button", class: "quiet", onclick: async () => save(await writeReport(store.visible()), "galclass-report.html", "text/html") }, "Report"));
}
