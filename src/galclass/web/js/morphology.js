/** The 13 classes and the 4 groups, in the words of the package. */

export const CLASSES = ["Er", "Ei", "Ec", "Se", "Sd", "Sc", "Sb", "Sa", "SBd", "SBc", "SBb", "SBa", "A"];

export const GROUPS = {
  Elliptical: ["Er", "Ei", "Ec"],
  Spiral: ["Se", "Sd", "Sc", "Sb", "Sa"],
  BarredSpiral: ["SBd", "SBc", "SBb", "SBa"],
  Artifact: ["A"],
};

export const CLASS_NAMES = {
  Er: "round smooth",
  Ei: "in-between smooth",
  Ec: "cigar-shaped",
  Se: "edge-on disk",
  Sd: "spiral with no bulge",
  Sc: "spiral with just noticeable bulge",
  Sb: "spiral with obvious bulge",
  Sa: "spiral with dominant bulge",
  SBd: "barred spiral with no bulge",
  SBc: "barred spiral with just noticeable bulge",
  SBb: "barred spiral with obvious bulge",
  SBa: "barred spiral with dominant bulge",
  A: "star or artifact",
};

export const GROUP_NAMES = {
  Elliptical: "Elliptical",
  Spiral: "Spiral",
  BarredSpiral: "Barred spiral",
  Artifact: "Artifact",
};

const FLAGS = {
  unlike_training: "Unlike the training data",
  unlike_training_data: "Unlike the training data",
  unlike: "Unlike the training data",
  low_certainty: "Uncertain",
  truncated: "File cut off",
};

/** Group of a class; "Own" for a class that is none of the 13. */
export function groupOf(cls) {
  return Object.keys(GROUPS).find((group) => GROUPS[group].includes(cls)) ?? "Own";
}

/** The words for a class; empty for a class of a model's own. */
export function nameOf(cls) {
  return Object.hasOwn(CLASS_NAMES, cls) ? CLASS_NAMES[cls] : "";
}

/** A class with its words: "Sb, spiral with obvious bulge", or its own name alone. */
export function inFull(cls) {
  return [cls, nameOf(cls)].filter(Boolean).join(", ");
}

/** Whether the classes of a prediction are a model's own instead of the 13. */
export function areOwn(probabilities) {
  return Object.keys(probabilities).some((cls) => !Object.hasOwn(CLASS_NAMES, cls));
}

/** The classes of a prediction: the 13 in their order, or a model's own with the most probable first. */
export function classesOf(probabilities) {
  return areOwn(probabilities) ? Object.keys(probabilities).sort((a, b) => probabilities[b] - probabilities[a]) : CLASSES;
}

/** A flag in words. */
export function flagText(flag) {
  return FLAGS[flag] ?? flag.replaceAll("_", " ");
}

/** A probability in [0, 1] as text, e.g. "62 %" or "<1 %"; empty if there is none. */
export function percent(value) {
  if (!Number.isFinite(value)) return "";
  if (value > 0 && value < 0.01) return "<1 %";
  if (value < 1 && value > 0.99) return ">99 %";
  return `${Math.round(value * 100)} %`;
}
