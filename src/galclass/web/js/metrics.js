/** The evaluation of a model: figures with intervals, confusion matrices, the reliability plot. */

import { h, svg } from "./dom.js";
import { showCell } from "./confused.js";
import { percent } from "./morphology.js";

function interval(measured) {
  if (!measured) return ""; // galclass finetune measures the accuracy alone
  const [value, low, high] = measured;
  return [h("b", {}, value.toFixed(3)), h("span", { class: "interval" }, ` ${low.toFixed(3)} to ${high.toFixed(3)}`)];
}

/** A table of accuracy, balanced accuracy and macro F1 with their 95 % intervals. */
export function figures(tables) {
  if (!tables.length) return h("p", { class: "note" }, "This version was registered without an evaluation.");
  const heads = ["Classes", "Galaxies", "Accuracy (95 %)", "Balanced accuracy", "Macro F1", "Majority class"];
  const line = ([title, table]) => h("tr", {}, h("th", { scope: "row" }, title), h("td", {}, table.count),
    ["accuracy", "balanced_accuracy", "macro_f1"].map((key) => h("td", {}, interval(table[key]))), h("td", {}, table.majority_rate?.toFixed(3)));
  return h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Figures of the evaluation" }, h("table", { class: "listing figures" },
    h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, tables.map(line))));
}

function cell(count, total, right, label, show) {
  const share = total ? count / total : 0;
  const style = { "--share": share.toFixed(3) };
  const button = count ? h("button", { type: "button", "aria-label": label, title: label, "aria-pressed": "false", onclick: (event) => show(event.currentTarget) }, count) : "";
  return h("td", { class: `cell${right ? " right" : ""}`, style }, button);
}

/** A confusion matrix: rows are the volunteers' classes, columns the model's. A cell shows its galaxies below. */
export function confusion(model, title, { names, confusion: matrix, class_error: error }, signal) {
  const place = h("div", { class: "cell-galaxies", "aria-live": "polite" });
  const show = (button, row, column) => {
    for (const other of figure.querySelectorAll(".cell button")) other.setAttribute("aria-pressed", String(other === button));
    showCell(place, { model, table: title, volunteers: names[row], predicted: names[column] }, signal);
  };
  const totals = matrix.map((row) => row.reduce((sum, count) => sum + count, 0));
  const head = h("tr", {}, h("td"), names.map((name) => h("th", { scope: "col" }, name)), h("th", { scope: "col" }, "Error"));
  const body = names.map((name, row) => h("tr", {}, h("th", { scope: "row" }, name),
    matrix[row].map((count, column) => cell(count, totals[row], row === column, `${count} that volunteers call ${name} and the model ${names[column]}`, (button) => show(button, row, column))),
    h("td", { class: "value" }, error[name] === null ? "" : percent(error[name]))));
  const figure = h("figure", { class: "confusion" }, h("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": `Confusion matrix, ${title}` },
    h("table", {}, h("thead", {}, head), h("tbody", {}, body))),
    h("figcaption", {}, `${title}: rows are the volunteers, columns the model. Shade: share of the row. A cell shows its galaxies.`), place);
  return figure;
}

/** The reliability plot of {confidence, accuracy, count}: accuracy against predicted probability. */
export function reliability(bins) {
  if (!bins) return null;
  const largest = Math.max(...bins.count);
  const points = bins.confidence.map((confidence, index) => ({ confidence, accuracy: bins.accuracy[index], count: bins.count[index] }))
    .filter(({ count }) => count > 0);
  const dots = points.map(({ confidence, accuracy, count }) =>
    svg("circle", { class: "dot", cx: 20 + 160 * confidence, cy: 180 - 160 * accuracy, r: 2 + 6 * Math.sqrt(count / largest) },
      svg("title", {}, `predicted ${percent(confidence)}, right ${percent(accuracy)}, ${count} galaxies`)));
  const text = (x, y, words, anchor = "middle") => svg("text", { x, y, "text-anchor": anchor }, words);
  return h("figure", { class: "reliability" },
    svg("svg", { viewBox: "0 0 200 205", role: "img", "aria-label": `Reliability: ${points.map((p) => `predicted ${percent(p.confidence)} right ${percent(p.accuracy)}`).join("; ")}` },
      svg("rect", { class: "frame", x: 20, y: 20, width: 160, height: 160 }), svg("line", { class: "frame", x1: 20, y1: 180, x2: 180, y2: 20 }), dots,
      text(20, 193, "0"), text(180, 193, "1"), text(100, 200, "predicted probability"), text(14, 24, "1", "end"), text(14, 184, "0", "end")),
    h("figcaption", {}, "Reliability: how often predictions of a given probability are right. On the line: perfectly calibrated."));
}
