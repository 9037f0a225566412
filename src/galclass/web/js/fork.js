/** Hubble's tuning fork: where each class sits, the small fork of one prediction, the large fork of many. */

import { h, svg } from "./dom.js";
import { glyph } from "./glyphs.js";
import { CLASSES, CLASS_NAMES, groupOf, percent } from "./morphology.js";

const WIDTH = 320;
const HEIGHT = 132;
const AXIS = 62; // height of the handle

/** Places of the classes in a 320 x 132 drawing; the artifact stands apart, below the handle. */
export const PLACES = {
  Er: [22, AXIS], Ei: [62, AXIS], Ec: [102, AXIS], Se: [142, AXIS],
  Sa: [184, 33.2], Sb: [222, 28.7], Sc: [260, 24.2], Sd: [298, 19.7],
  SBa: [184, 90.8], SBb: [222, 95.3], SBc: [260, 99.8], SBd: [298, 104.3],
  A: [22, 112],
};

const LARGEST_HALO = 26; // radius of a probability of 1; areas are in proportion

function tines() {
  const upper = `M22 ${AXIS}H142C162 ${AXIS} 158 36.3 184 33.2L298 19.7`;
  const lower = `M142 ${AXIS}C162 ${AXIS} 158 87.7 184 90.8L298 104.3`;
  return [upper, lower].map((d) => svg("path", { class: "tine", d }));
}

/** Sentence of a distribution for people who do not see the drawing. */
export function spreadInWords(probabilities) {
  const ranked = CLASSES.filter((cls) => probabilities[cls] >= 0.005).sort((a, b) => probabilities[b] - probabilities[a]);
  return ranked.map((cls) => `${cls} ${percent(probabilities[cls])}`).join(", ");
}

/** One prediction on the fork: a disc a class, its area in proportion to the probability. */
export function smallFork(probabilities, predicted) {
  const nodes = CLASSES.map((cls) => {
    const [x, y] = PLACES[cls];
    const radius = LARGEST_HALO * Math.sqrt(probabilities[cls] ?? 0);
    return svg(
      "g",
      { class: `node group-${groupOf(cls)}${cls === predicted ? " chosen" : ""}` },
      svg("circle", { class: "clear", cx: x, cy: y, r: 9.5 }),
      radius > 0.8 && svg("circle", { class: "halo", cx: x, cy: y, r: radius.toFixed(2) }),
      glyph(cls, cls === predicted ? 27 : 21, x, y),
      svg("text", { x, y: y + 22, "text-anchor": "middle" }, cls),
    );
  });
  const label = `On the tuning fork: ${spreadInWords(probabilities)}`;
  return svg("svg", { class: "fork", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label }, tines(), nodes);
}

/** The large fork: one toggle a class with the number of images in it; `onchoose(cls)` filters. */
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

  /** Show how many images each class holds and which class is chosen (null: all). */
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
