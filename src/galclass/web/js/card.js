/** One image as a card: picture, class, group, the fork and the columns. The same height in every state. */

import { distribution } from "./bars.js";
import { h } from "./dom.js";
import { agreement } from "./filters.js";
import { flagText, groupOf, GROUP_NAMES, inFull, nameOf, percent } from "./morphology.js";

const NAMED = 5; // classes of a prediction set that a card names

/** The picture of an item; a file that the browser cannot draw leaves an empty plate. */
export function picture(item, size) {
  const image = h("img", { src: item.url, alt: "", width: size, height: size, decoding: "async", draggable: "false" });
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "no-picture" }, "No image")));
  return h("div", { class: "plate" }, image);
}

/** Chips of a record: flags, and a prediction set of several classes. */
export function remarks(record) {
  const chips = (record.flags ?? []).map((flag) => h("span", { class: "chip warning" }, flagText(flag)));
  const set = record.prediction_set ?? [];
  if (set.length > 1) chips.push(h("span", { class: "chip", title: `Classes that the model cannot rule out: ${set.join(", ")}` }, set.length > NAMED ? `${set.length} classes possible` : set.join(" or ")));
  return chips.length ? h("p", { class: "remarks" }, chips) : null;
}

const STATES = { waiting: "Waiting", sending: "Classifying…", rejected: "Rejected", failed: "Not classified" };

/** The volunteers' class of an example, in words, and whether the model agrees. */
export function volunteers(item) {
  if (!item.votes?.text) return null;
  const agrees = agreement(item);
  const mark = agrees === null ? null : h("span", { class: agrees ? "agrees" : "differs" }, agrees ? "✓ agree: " : "✗ say: ");
  return h("p", { class: "beside" }, "Volunteers ", mark ?? "say: ", item.votes.text);
}

function verdict(item, retry) {
  if (!item.record) {
    return h("div", { class: "verdict" }, h("h3", { class: "state" }, STATES[item.status]),
      item.reason && h("p", { class: "reason" }, item.reason),
      item.status === "failed" && h("button", { type: "button", class: "retry", onclick: () => retry(item) }, "Retry"));
  }
  const { predicted_class: cls, predicted_group: group, probabilities } = item.record;
  return h(
    "div",
    { class: `verdict group-${groupOf(cls)}` },
    h("h3", { class: "class" }, h("span", { class: "code" }, cls), " ", h("span", { class: "percent" }, percent(probabilities[cls]))),
    h("p", { class: "name" }, nameOf(cls)),
    h("p", { class: "group" }, GROUP_NAMES[group] ?? group),
    volunteers(item),
  );
}

/** The card of an item; `open` shows the details, `retry` sends it again. */
export function card(item, { open, retry }) {
  const spread = item.record?.probabilities ?? {};
  const chosen = item.record?.predicted_class;
  const out = ["rejected", "failed"].includes(item.status);
  return h(
    "article",
    { class: `card ${item.status}${out ? " out" : ""}`, "data-key": item.key },
    h("div", { class: "top" }, picture(item, 128), verdict(item, retry)),
    out ? null : (item.record && remarks(item.record)) ?? h("p", { class: "remarks" }),
    out ? null : distribution(spread, chosen),
    h("p", { class: "file", title: item.name }, item.name, item.converted && ` (converted from ${item.converted})`),
    item.record && h("button", { type: "button", class: "open", "aria-label": `Details of ${item.name}`, onclick: () => open(item) }),
  );
}

/** A small card: picture, class and probability. */
export function cell(item, { open, retry }) {
  const cls = item.record?.predicted_class;
  const agrees = agreement(item);
  const flagged = (item.record?.flags ?? []).map(flagText).join(", ");
  const words = cls ? `${inFull(cls)}, ${percent(item.record.probabilities[cls])}${flagged && `, ${flagged}`}` : `${STATES[item.status]}. ${item.reason}`;
  const mark = agrees === null ? flagged && "!" : agrees ? "✓" : "✗";
  return h("article", { class: `cell-card ${item.status}${cls ? ` group-${groupOf(cls)}` : ""}`, "data-key": item.key, title: `${item.name}: ${words}` },
    picture(item, 102),
    h("p", { class: "line" }, h("span", { class: "code" }, cls ?? STATES[item.status]), cls && h("span", { class: "percent" }, percent(item.record.probabilities[cls])), mark && h("span", { class: "mark-of", "aria-hidden": "true" }, mark)),
    (cls || item.status === "failed") && h("button", { type: "button", class: "open", "aria-label": cls ? `Details of ${item.name}: ${words}` : `Retry ${item.name}`, onclick: () => (cls ? open(item) : retry(item)) }));
}
