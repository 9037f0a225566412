/** Hubble's tuning fork: where each class sits, the small fork of one prediction, the large fork of many. */

import { h, svg } from "./dom.js";
import { drawing, glyph } from "./glyphs.js";
import { CLASSES, CLASS_NAMES, classesOf, groupOf, percent } from "./morphology.js";

const WIDTH = 320;
const HEIGHT = 132;
const AXIS = 62; // height of the handle

/** Positions of the classes in a 320 x 132 drawing; the artifact is apart, below the handle. */
export const PLACES = {
  Er: [22, AXIS], Ei: [62, AXIS], Ec: [102, AXIS], Se: [142, AXIS],
  Sa: [184, 33.2], Sb: [222, 28.7], Sc: [260, 24.2], Sd: [298, 19.7],
  SBa: [184, 90.8], SBb: [222, 95.3], SBc: [260, 99.8], SBd: [298, 104.3],
  A: [22, 112],
};

const LARGEST_HALO = 26; // radius of a probability of 1; areas are in proportion

const CLEAR = 11; // radius around a class that the tines leave free

/** The part of a straight tine between two classes. */
function segment([x1, y1], [x2, y2]) {
  const share = CLEAR / Math.hypot(x2 - x1, y2 - y1);
  const [dx, dy] = [share * (x2 - x1), share * (y2 - y1)];
  return `M${x1 + dx} ${y1 + dy}L${x2 - dx} ${y2 - dy}`;
}

function tines() {
  const chains = [["Er", "Ei", "Ec", "Se"], ["Sa", "Sb", "Sc", "Sd"], ["SBa", "SBb", "SBc", "SBd"]];
  const straight = chains.flatMap((chain) => chain.slice(1).map((cls, index) => segment(PLACES[chain[index]], PLACES[cls])));
  const bends = [`M153 ${AXIS}C168 ${AXIS} 160 37 173 34.6`, `M153 ${AXIS}C168 ${AXIS} 160 87 173 89.4`];
  return svg("path", { class: "tine", fill: "none", d: [...straight, ...bends].join("") });
}

/** Put the unchanging part of the small fork into the style sheet as a mask, so that a card need not draw it again. */
export function prepareSmallFork() {
  const lines = tines();
  lines.setAttribute("stroke", "#000");
  lines.setAttribute("stroke-opacity", 0.45);
  const glyphs = CLASSES.map((cls) => {
    const [x, y] = PLACES[cls];
    return svg("g", { transform: `translate(${x} ${y}) scale(0.525)`, opacity: 0.55 }, drawing(cls));
  });
  const plate = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: 4 * WIDTH, height: 4 * HEIGHT }, lines, glyphs);
  const text = new XMLSerializer().serializeToString(plate);
  document.documentElement.style.setProperty("--fork-mask", `url("data:image/svg+xml,${encodeURIComponent(text)}")`);
}

/** A distribution in words for people who do not see the drawing. */
export function spreadInWords(probabilities) {
  const ranked = classesOf(probabilities).filter((cls) => probabilities[cls] >= 0.005).sort((a, b) => probabilities[b] - probabilities[a]);
  return ranked.map((cls) => `${cls} ${percent(probabilities[cls])}`).join(", ");
}

function halo(cls, probability) {
  const [cx, cy] = PLACES[cls];
  return svg("circle", { class: `halo group-${groupOf(cls)}`, cx, cy, r: (LARGEST_HALO * Math.sqrt(probability)).toFixed(2) });
}

/** One prediction on the fork: a disc per class, its area in proportion to the probability. */
export function smallFork(probabilities, predicted) {
  const label = predicted ? `On the tuning fork: ${spreadInWords(probabilities)}` : "The tuning fork, without a prediction yet";
  const halos = CLASSES.filter((cls) => probabilities[cls] >= 0.001).map((cls) => halo(cls, probabilities[cls]));
  const codes = CLASSES.map((cls) => svg("text", { x: PLACES[cls][0], y: PLACES[cls][1] + 22, class: cls === predicted ? "chosen" : null }, cls));
  const winner = predicted && svg("g", { class: `winner group-${groupOf(predicted)}` }, glyph(predicted, 27, ...PLACES[predicted]));
  return h("div", { class: "fork", role: "img", "aria-label": label }, h("span", { class: "fork-plate" }),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" }, halos, winner, codes));
}

/** The large fork: one toggle per class with the number of its images; `onchoose(cls)` filters. */
export class LargeFork {
  constructor(onchoose) {
    this.buttons = new Map(CLASSES.map((cls) => [cls, this.#button(cls, onchoose)]));
    const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, tines());
    this.element = h("div", { class: "atlas", role: "group", "aria-label": "Classes on the tuning fork" }, drawing, [...this.buttons.values()]);
  }

  #button(cls, onchoose) {
    const [x, y] = PLACES[cls];
    const style = { left: `${(100 * x) / WIDTH}%`, top: `${(100 * y) / HEIGHT}%` };
    return h(
      "button",
      { type: "button", class: `station group-${groupOf(cls)}`, style, "aria-pressed": "false", onclick: () => onchoose(cls) },
      h("span", { class: "halo" }),
      svg("svg", { viewBox: "-20 -20 40 40", "aria-hidden": "true" }, glyph(cls, 40)),
      h("span", { class: "code" }, cls),
      h("span", { class: "count" }),
    );
  }

  /** Show how many images each class has and which class is chosen (null: all). */
  update(counts, chosen) {
    const total = CLASSES.reduce((sum, cls) => sum + (counts[cls] ?? 0), 0);
    for (const [cls, button] of this.buttons) {
      const count = counts[cls] ?? 0;
      const share = total ? count / total : 0;
      button.style.setProperty("--share", Math.sqrt(share).toFixed(4));
      button.setAttribute("aria-pressed", String(chosen === cls));
      button.setAttribute("aria-label", `${cls}, ${CLASS_NAMES[cls]}: ${count} image${count === 1 ? "" : "s"}`);
      button.title = `${cls}: ${CLASS_NAMES[cls]}`;
      button.classList.toggle("empty", total > 0 && count === 0);
      button.lastChild.textContent = count ? String(count) : "";
    }
  }
}
