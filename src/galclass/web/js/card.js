/** One image as a card: picture, class, group, the fork and the columns. The same height in every state. */

import { columns } from "./bars.js";
import { h } from "./dom.js";
import { smallFork } from "./fork.js";
import { CLASS_NAMES, flagText, GROUP_NAMES, percent } from "./morphology.js";

const NAMED = 5; // classes of a prediction set that a card names

/** The picture of an item; a file that the browser cannot draw leaves an empty plate. */
export function picture(item, size) {
  const image = h("img", { src: item.url, alt: "", width: size, height: size, decoding: "async", draggable: "false" });
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "no-picture" }, "No picture")));
  return h("div", { class: "plate" }, image);
}

/** Chips of a record: flags, and a prediction set of several classes. */
export function remarks(record) {
  const chips = (record.flags ?? []).map((flag) => h("span", { class: "chip warning" }, flagText(flag)));
  const set = record.prediction_set ?? [];
  if (set.length > 1) chips.push(h("span", { class: "chip", title: `Classes that the model cannot rule out: ${set.join(", ")}` }, set.length > NAMED ? `${set.length} classes possible` : set.join(" or ")));
  return chips.length ? h("p", { class: "remarks" }, chips) : null;
}

function verdict(item) {
  if (item.status === "rejected") return h("div", { class: "verdict" }, h("h3", { class: "state" }, "Rejected"), h("p", { class: "reason" }, item.reason));
  if (!item.record) return h("div", { class: "verdict" }, h("h3", { class: "state" }, item.status === "sending" ? "Classifying…" : "Waiting"));
  const { predicted_class: cls, predicted_group: group, probabilities } = item.record;
  return h(
    "div",
    { class: `verdict group-${group}` },
    h("h3", { class: "class" }, h("span", { class: "code" }, cls), " ", h("span", { class: "percent" }, percent(probabilities[cls]))),
    h("p", { class: "name" }, CLASS_NAMES[cls] ?? cls),
    h("p", { class: "group" }, GROUP_NAMES[group] ?? group),
    item.votes?.cls && h("p", { class: "beside" }, `Volunteers: ${item.votes.cls}`),
  );
}

/** The card of an item; `open` shows the details. */
export function card(item, open) {
  const spread = item.record?.probabilities ?? {};
  const chosen = item.record?.predicted_class;
  return h(
    "article",
    { class: `card ${item.status}`, "data-key": item.key },
    h("div", { class: "top" }, picture(item, 128), verdict(item)),
    item.status === "rejected" ? null : (item.record && remarks(item.record)) ?? h("p", { class: "remarks" }),
    item.status === "rejected" ? null : [smallFork(spread, chosen), columns(spread, chosen)],
    h("p", { class: "file", title: item.name }, item.name),
    item.record && h("button", { type: "button", class: "open", "aria-label": `Details of ${item.name}`, onclick: () => open(item) }),
  );
}
