/** Everything about one image in a dialog; arrow keys walk through the images shown. */

import { rows } from "./bars.js";
import { picture, remarks } from "./card.js";
import { h } from "./dom.js";
import { smallFork } from "./fork.js";
import { CLASS_NAMES, GROUP_NAMES, percent, voteRows } from "./morphology.js";

/** Vote fractions with their 90 % intervals, grouped by question. */
function voteTable(votes, volunteers) {
  const given = voteRows(votes);
  if (!given.length) return null;
  const questions = grouped(given);
  const tables = [...questions].map(([question, answers]) =>
    h("table", { class: "votes" }, h("caption", {}, question), h("tbody", {}, answers.map((row) => voteRow(row, volunteers)))),
  );
  return h("section", {}, h("h3", {}, "Vote fractions"),
    h("p", { class: "note" }, "Predicted debiased fractions with their 90 % interval.", volunteers ? " The tick is what the volunteers said." : ""),
    h("div", { class: "vote-blocks" }, tables));
}

function grouped(given) {
  const groups = new Map();
  for (const row of given) groups.set(row.question, [...(groups.get(row.question) ?? []), row]);
  return groups;
}

function voteRow({ stem, answer, fraction, low, high }, volunteers) {
  const hasRange = Number.isFinite(low) && Number.isFinite(high);
  const told = volunteers?.[stem];
  const range = hasRange && h("span", { class: "range", style: { left: `${100 * low}%`, width: `${100 * (high - low)}%` } });
  return h("tr", {}, h("th", { scope: "row", class: "name" }, answer),
    h("td", { class: "meter", "aria-hidden": "true" }, range,
      h("span", { class: "dot", style: { left: `${100 * fraction}%` } }),
      Number.isFinite(told) && h("span", { class: "mark", style: { left: `${100 * told}%` } })),
    h("td", { class: "value" }, percent(fraction), hasRange && h("span", { class: "interval" }, ` ${Math.round(100 * low)}–${Math.round(100 * high)}`)));
}

function facts(item) {
  const { record } = item;
  const model = record.model ?? {};
  const pairs = [
    ["File", item.name !== item.objectId && item.name],
    ["Object", record.object_id],
    ["Prediction set", (record.prediction_set ?? []).join(", ")],
    ["Model", model.name && `${model.name}, version ${model.version}`],
    ["Model sha256", model.sha256],
    ["Volunteers", item.votes?.cls && `${item.votes.cls}${item.votes.text ? ` (${item.votes.text})` : ""}`],
  ];
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

export class Detail {
  #item = null;

  /** `neighbours()` gives the items that are shown; `extras(item)` more sections as nodes. */
  constructor(neighbours, extras) {
    this.neighbours = neighbours;
    this.extras = extras;
    this.content = h("div", { class: "sheet-content" });
    this.element = h("dialog", { class: "detail", "aria-labelledby": "detail-title" }, this.content);
    this.element.addEventListener("keydown", (event) => this.#walk(event));
    this.element.addEventListener("click", (event) => event.target === this.element && this.element.close());
  }

  open(item) {
    this.#show(item);
    if (!this.element.open) this.element.showModal();
    this.element.scrollTop = 0;
  }

  #walk(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.matches("input, select, textarea")) return;
    event.preventDefault();
    this.#step(step);
  }

  #step(step) {
    const items = this.neighbours().filter((item) => item.record);
    const next = items[items.indexOf(this.#item) + step];
    if (next) this.#show(next);
  }

  #show(item) {
    this.#item = item;
    const { record } = item;
    const cls = record.predicted_class;
    const title = h("h2", { id: "detail-title", class: `class group-${record.predicted_group}` },
      h("span", { class: "code" }, cls), h("span", { class: "name" }, `${CLASS_NAMES[cls] ?? cls}, ${percent(record.probabilities[cls])}`));
    const controls = h("div", { class: "controls" },
      h("button", { type: "button", class: "quiet", onclick: () => this.#step(-1), "aria-label": "Previous image" }, "←"),
      h("button", { type: "button", class: "quiet", onclick: () => this.#step(1), "aria-label": "Next image" }, "→"),
      h("button", { type: "button", class: "quiet", autofocus: true, onclick: () => this.element.close() }, "Close"));
    const left = h("div", { class: "left" }, picture(item, 424), h("p", { class: "group-line" }, `Group: ${GROUP_NAMES[record.predicted_group] ?? record.predicted_group}`), remarks(record), facts(item));
    const right = h("div", { class: "right" }, smallFork(record.probabilities, cls), rows(record.probabilities, cls, record.prediction_set ?? []));
    const parts = [h("header", {}, title, controls), h("div", { class: "halves" }, left, right), voteTable(record.vote_fractions, item.votes?.fractions), h("div", { class: "more" }, this.extras(item))];
    this.content.replaceChildren(...parts.filter(Boolean));
  }
}
