/** Which of the images are shown, and in which order. */

import { CLASSES, groupOf } from "./morphology.js";

function certainty(item, missing = -1) {
  return item.record ? item.record.probabilities[item.record.predicted_class] : missing;
}

function rank(item) {
  if (!item.record) return CLASSES.length + 1;
  const index = CLASSES.indexOf(item.record.predicted_class);
  return index < 0 ? CLASSES.length : index; // a model's own classes come after the 13
}

const byClass = (a, b) => rank(a) - rank(b) || (a.record?.predicted_class ?? "").localeCompare(b.record?.predicted_class ?? "");

/** Ways to put the images in order, by name. */
export const ORDERS = {
  added: { label: "Order added", compare: (a, b) => a.number - b.number },
  certain: { label: "Most certain first", compare: (a, b) => certainty(b) - certainty(a) },
  uncertain: { label: "Least certain first", compare: (a, b) => certainty(a, 2) - certainty(b, 2) },
  class: { label: "Class", compare: byClass },
  name: { label: "File name", compare: (a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }) },
};

/** Ways to filter by the probability of the class, or by the outcome for a file. */
export const CERTAINTIES = {
  any: { label: "Any certainty", keep: () => true },
  sure: { label: "80 % and more", keep: (item) => certainty(item) >= 0.8 },
  fair: { label: "50 % and more", keep: (item) => certainty(item) >= 0.5 },
  unsure: { label: "Under 50 %", keep: (item) => item.status === "done" && certainty(item) < 0.5 },
  rejected: { label: "Rejected files", keep: (item) => ["rejected", "failed"].includes(item.status) },
};

/** Whether the volunteers agree on an example; null if their votes do not decide on a class. */
export function agreement(item) {
  const classes = item.votes?.classes ?? [];
  return item.record && classes.length ? classes.includes(item.record.predicted_class) : null;
}

/** No filter at all. */
export const EVERYTHING = { cls: null, group: "", certainty: "any", flag: "", name: "" };

/** Whether an image passes the filters. */
export function passes(item, { cls, group, certainty: level, flag, name }) {
  if (!CERTAINTIES[level].keep(item)) return false;
  if (cls && item.record?.predicted_class !== cls) return false;
  if (group && !(item.record && groupOf(item.record.predicted_class) === group)) return false;
  if (flag && !hasFlag(item, flag)) return false;
  return !name || item.name.toLowerCase().includes(name.toLowerCase());
}

function hasFlag(item, flag) {
  if (flag === "agree" || flag === "differ") return agreement(item) === (flag === "agree");
  if (flag === "none") return Boolean(item.record) && !(item.record.flags ?? []).length;
  if (flag === "several") return (item.record?.prediction_set ?? []).length > 1;
  return (item.record?.flags ?? []).includes(flag);
}

/** The flags that some of the images have, in the order of their names. */
export function flagsOf(items) {
  return [...new Set(items.flatMap((item) => item.record?.flags ?? []))].sort();
}
