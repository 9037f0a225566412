/** The tab "Votes": the decision tree with branches as wide as the votes, and every fraction with its interval. */

import { h, svg } from "./dom.js";
import { percent } from "./morphology.js";
import { byStem, walkTree } from "./tree.js";

const WIDEST = 240; // of a bar that all volunteers reach
const BAR = 9; // height of a bar
const TALL = 700;
const WIDE = 760;

/** Centre of each question's bar in a 760 x 700 drawing. */
const SPOTS = {
  t01_smooth_or_features: [330, 24], t07_rounded: [130, 118], t02_edgeon: [500, 118], t09_bulge_shape: [370, 212], t03_bar: [630, 212],
  t04_spiral: [630, 300], t10_arms_winding: [640, 384], t11_arms_number: [640, 462], t05_bulge_prominence: [480, 546], t06_odd: [250, 620], t08_odd_feature: [250, 678],
};

const COLOURS = { a01: "Elliptical", a03: "Artifact", a06: "BarredSpiral" };

function colourOf(stem, question) {
  const code = /_(a\d\d)_/.exec(stem)[1];
  return COLOURS[code] ?? (question === "t07_rounded" ? "Elliptical" : "Spiral");
}

function ribbon([x0, x1, y0], [u0, u1, y1]) {
  const middle = (y0 + y1) / 2;
  return `M${x0} ${y0}C${x0} ${middle} ${u0} ${middle} ${u0} ${y1}H${u1}C${u1} ${middle} ${x1} ${middle} ${x1} ${y0}Z`;
}

function drawing(questions) {
  const filled = {}; // how much of each bar's top is taken by ribbons
  const drawn = new Set(questions.map(({ question }) => question));
  const widths = Object.fromEntries(questions.map(({ question, reach }) => [question, WIDEST * reach]));
  const ribbons = [];
  const bars = [];
  const texts = [];
  for (const { question, words, reach, answers } of questions) {
    const [middle, y] = SPOTS[question];
    let left = middle - widths[question] / 2;
    for (const { stem, words: answer, next, share, fraction } of answers) {
      const width = WIDEST * share;
      const title = svg("title", {}, `${words} ${answer}: ${percent(fraction)} of those asked, ${percent(share)} of all`);
      if (next && drawn.has(next) && width > 0.2) {
        const [target, top] = SPOTS[next];
        const start = target - widths[next] / 2 + (filled[next] ?? 0);
        filled[next] = (filled[next] ?? 0) + width;
        ribbons.push(svg("path", { class: `ribbon group-${colourOf(stem, question)}`, d: ribbon([left, left + width, y + BAR], [start, start + width, top]) }, title.cloneNode(true)));
      }
      bars.push(svg("rect", { class: `segment group-${colourOf(stem, question)}`, x: left, y, width: Math.max(0, width), height: BAR, "data-stem": stem, "data-share": share.toFixed(4) }, title));
      if (width > 6.2 * answer.length + 4) texts.push(svg("text", { class: "answer", x: left + width / 2, y: y + BAR + 12 }, answer));
      left += width;
    }
    texts.push(svg("text", { class: reach < 0.005 ? "question idle" : "question", x: middle, y: y - 5 }, `${words} ${reach < 0.9995 ? percent(reach) : ""}`));
  }
  const label = `Decision tree: ${questions.filter(({ reach }) => reach >= 0.005).map(({ words, answers }) => `${words} ${answers.map(({ words: answer, fraction }) => `${answer} ${percent(fraction)}`).join(", ")}`).join("; ")}`;
  return svg("svg", { class: "tree", viewBox: `0 0 ${WIDE} ${TALL}`, role: "img", "aria-label": label }, ribbons, bars, texts);
}

function line({ stem, words, fraction, low, high }, raw, told) {
  const hasRange = Number.isFinite(low) && Number.isFinite(high);
  return h("tr", {}, h("th", { scope: "row", class: "name" }, words),
    h("td", { class: "meter", "aria-hidden": "true" },
      hasRange && h("span", { class: "range", style: { left: `${100 * low}%`, width: `${100 * (high - low)}%` } }),
      h("span", { class: "dot", style: { left: `${100 * fraction}%` } }),
      raw[stem] && h("span", { class: "ring", style: { left: `${100 * raw[stem].fraction}%` } }),
      Number.isFinite(told[stem]) && h("span", { class: "mark", style: { left: `${100 * told[stem]}%` } })),
    h("td", { class: "value" }, percent(fraction), hasRange && h("span", { class: "interval" }, ` ${Math.round(100 * low)}–${Math.round(100 * high)}`), raw[stem] && h("span", { class: "interval" }, ` raw ${percent(raw[stem].fraction)}`)));
}

/** The nodes for a record with votes; `told` are the volunteers' fractions by answer, for questions that were asked. */
export function votesPanel(record, told = null) {
  const votes = byStem(record.vote_fractions);
  if (!Object.keys(votes).length) return [h("p", { class: "note" }, "This model has no vote fractions.")];
  const raw = byStem(record.raw_vote_fractions);
  const hasRaw = Object.keys(raw).length > 0;
  const questions = walkTree(hasRaw ? raw : votes);
  const rows = walkTree(votes);
  const tables = rows.map(({ words, reach, answers }) => h("table", { class: "votes" },
    h("caption", {}, words, h("span", { class: "interval" }, ` asked of ${percent(questions.find((one) => one.words === words)?.reach ?? reach)}`)),
    h("tbody", {}, answers.map((answer) => line(answer, raw, told ?? {})))));
  const drawable = questions.some(({ question }) => question === "t01_smooth_or_features");
  return [
    drawable && h("div", { class: "scroller tree-place", tabindex: 0, role: "region", "aria-label": "Decision tree" }, drawing(questions)),
    h("p", { class: "note" }, `Branches are as wide as the share of volunteers expected there${hasRaw ? ", by raw votes" : ""}. Below: debiased fractions with their 90 % interval${hasRaw ? "; the ring is the raw fraction" : ""}.`, told && Object.keys(told).length ? " The tick is the volunteers' fraction, if anybody was asked." : ""),
    h("div", { class: "vote-blocks" }, tables),
  ];
}
