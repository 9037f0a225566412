/** The Galaxy Zoo 2 decision tree: questions, answers, where each leads, and how many volunteers get there. */

/** Questions by name: their words, and answers as [code, words, next question or null]. */
export const TREE = {
  t01_smooth_or_features: ["Smooth, or with features?", [["a01_smooth", "smooth", "t07_rounded"], ["a02_features_or_disk", "features or disk", "t02_edgeon"], ["a03_star_or_artifact", "star or artifact", null]]],
  t02_edgeon: ["Seen edge-on?", [["a04_yes", "yes", "t09_bulge_shape"], ["a05_no", "no", "t03_bar"]]],
  t03_bar: ["Is there a bar?", [["a06_bar", "bar", "t04_spiral"], ["a07_no_bar", "no bar", "t04_spiral"]]],
  t04_spiral: ["Are there spiral arms?", [["a08_spiral", "spiral", "t10_arms_winding"], ["a09_no_spiral", "no spiral", "t05_bulge_prominence"]]],
  t05_bulge_prominence: ["How prominent is the bulge?", [["a10_no_bulge", "no bulge", "t06_odd"], ["a11_just_noticeable", "just noticeable", "t06_odd"], ["a12_obvious", "obvious", "t06_odd"], ["a13_dominant", "dominant", "t06_odd"]]],
  t06_odd: ["Anything odd?", [["a14_yes", "yes", "t08_odd_feature"], ["a15_no", "no", null]]],
  t07_rounded: ["How round?", [["a16_completely_round", "completely round", "t06_odd"], ["a17_in_between", "in between", "t06_odd"], ["a18_cigar_shaped", "cigar-shaped", "t06_odd"]]],
  t08_odd_feature: ["What is odd?", [["a19_ring", "ring", null], ["a20_lens_or_arc", "lens or arc", null], ["a21_disturbed", "disturbed", null], ["a22_irregular", "irregular", null], ["a23_other", "other", null], ["a24_merger", "merger", null], ["a38_dust_lane", "dust lane", null]]],
  t09_bulge_shape: ["Shape of the bulge, edge-on?", [["a25_rounded", "rounded", "t06_odd"], ["a26_boxy", "boxy", "t06_odd"], ["a27_no_bulge", "no bulge", "t06_odd"]]],
  t10_arms_winding: ["How tightly wound?", [["a28_tight", "tight", "t11_arms_number"], ["a29_medium", "medium", "t11_arms_number"], ["a30_loose", "loose", "t11_arms_number"]]],
  t11_arms_number: ["How many arms?", [["a31_1", "1", "t05_bulge_prominence"], ["a32_2", "2", "t05_bulge_prominence"], ["a33_3", "3", "t05_bulge_prominence"], ["a34_4", "4", "t05_bulge_prominence"], ["a36_more_than_4", "more than 4", "t05_bulge_prominence"], ["a37_cant_tell", "can’t tell", "t05_bulge_prominence"]]],
};

const ROOT = "t01_smooth_or_features";

/** Questions in the order in which volunteers are asked: every question after all that lead to it. */
export const ORDER = [ROOT, "t07_rounded", "t02_edgeon", "t09_bulge_shape", "t03_bar", "t04_spiral", "t10_arms_winding", "t11_arms_number", "t05_bulge_prominence", "t06_odd", "t08_odd_feature"];

/** The stem of a vote column: "t03_bar_a06_bar_debiased" and "t03_bar_a06_bar" are the same answer. */
export function answerStem(column) {
  return column.replace(/_(debiased|raw|weighted_fraction|fraction)$/, "");
}

/** Votes of a record by stem: {stem: {fraction, low, high}}. */
export function byStem(votes) {
  return Object.fromEntries(Object.entries(votes ?? {}).map(([column, range]) => [answerStem(column), range]));
}

/**
 * Walk the tree with votes by stem. Returns [{question, words, reach, answers: [{stem, words, next, share, ...}]}] for the
 * questions with votes; `reach` is the share of volunteers who are asked it, `share` the part of all volunteers
 * who choose the answer. Fractions of a question are scaled to a sum of 1 for both.
 */
export function walkTree(votes) {
  const reach = { [ROOT]: 1 };
  const known = [];
  for (const question of ORDER) {
    const [words, answers] = TREE[question];
    const stems = answers.map(([code]) => `${question}_${code}`);
    const total = stems.reduce((sum, stem) => sum + (votes[stem]?.fraction ?? 0), 0);
    const here = reach[question] ?? 0;
    const rows = answers.map(([, answer, next], index) => {
      const share = total > 0 ? (here * (votes[stems[index]]?.fraction ?? 0)) / total : 0;
      if (next) reach[next] = (reach[next] ?? 0) + share;
      return { stem: stems[index], words: answer, next, share, ...votes[stems[index]] };
    });
    if (stems.some((stem) => stem in votes)) known.push({ question, words, reach: here, answers: rows.filter(({ stem }) => stem in votes) });
  }
  return known;
}
