/** The 13 classes, the 4 groups and the questions behind the vote fractions, in the words of the package. */

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

const QUESTIONS = {
  t01_smooth_or_features: "Smooth, or with features?",
  t02_edgeon: "Seen edge-on?",
  t03_bar: "Is there a bar?",
  t04_spiral: "Are there spiral arms?",
  t05_bulge_prominence: "How prominent is the bulge?",
  t06_odd: "Anything odd?",
  t07_rounded: "How round?",
  t08_odd_feature: "What is odd?",
  t09_bulge_shape: "Shape of the bulge, edge-on?",
  t10_arms_winding: "How tightly wound?",
  t11_arms_number: "How many arms?",
};

const FLAGS = {
  unlike_training: "Unlike the training data",
  unlike_training_data: "Unlike the training data",
  unlike: "Unlike the training data",
  low_certainty: "Uncertain",
};

/** Group of a class. */
export function groupOf(cls) {
  return Object.keys(GROUPS).find((group) => GROUPS[group].includes(cls)) ?? "Artifact";
}

/** A flag in words. */
export function flagText(flag) {
  return FLAGS[flag] ?? flag.replaceAll("_", " ");
}

/** A probability in [0, 1] as text, e.g. "62 %" or "<1 %". */
export function percent(value) {
  if (value > 0 && value < 0.01) return "<1 %";
  if (value < 1 && value > 0.99) return ">99 %";
  return `${Math.round(value * 100)} %`;
}

/** The stem of a vote column: "t03_bar_a06_bar_debiased" and "t03_bar_a06_bar" are the same answer. */
export function answerStem(column) {
  return column.replace(/_(debiased|weighted_fraction|fraction)$/, "");
}

/** Vote fractions of a record as rows {stem, question, answer, fraction, low, high}. */
export function voteRows(votes) {
  return Object.entries(votes ?? {}).map(([column, range]) => {
    const stem = answerStem(column);
    const [, question, answer] = /^(t\d\d_\w+?)_a\d\d_(\w+)$/.exec(stem) ?? [null, "", stem];
    return { stem, question: QUESTIONS[question] ?? question, answer: answer.replaceAll("_", " ").replace("cant", "can’t"), ...range };
  });
}
