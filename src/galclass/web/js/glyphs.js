/** One small drawing per class: isophotes for smooth galaxies, logarithmic arms for spirals. Defined once, used by id. */

import { svg } from "./dom.js";
import { CLASSES } from "./morphology.js";

const REACH = 16; // outer radius of the arms in glyph units; a glyph fills -20..20
const BULGE = { a: 6.2, b: 4.7, c: 3.3, d: 1.7 };
const PITCH_DEG = { a: 11, b: 16, c: 22, d: 29 };
const BAR = 8.5; // half length of a bar

function isophotes(width, height) {
  return [1, 0.68, 0.36].map((scale, level) =>
    svg("ellipse", { rx: width * scale, ry: height * scale, fill: "currentColor", "fill-opacity": [0.16, 0.3, 0.75][level] }),
  );
}

function arm(start, pitchDeg, turn) {
  const slope = Math.tan((pitchDeg * Math.PI) / 180);
  const end = Math.log(REACH / start) / slope;
  const points = Array.from({ length: 28 }, (_, step) => {
    const angle = (end * step) / 27;
    const radius = start * Math.exp(slope * angle);
    return `${(radius * Math.cos(angle + turn)).toFixed(2)} ${(radius * Math.sin(angle + turn)).toFixed(2)}`;
  });
  return svg("path", {
    d: `M${points.join("L")}`,
    fill: "none",
    stroke: "currentColor",
    "stroke-width": 1.9,
    "stroke-linecap": "round",
  });
}

function spiral(letter, barred) {
  const tilt = -0.55;
  const start = barred ? BAR : BULGE[letter];
  const pitch = barred ? PITCH_DEG[letter] * 0.8 : PITCH_DEG[letter];
  const parts = [svg("circle", { r: REACH + 1, fill: "currentColor", "fill-opacity": 0.1 })];
  parts.push(arm(start, pitch, tilt), arm(start, pitch, tilt + Math.PI));
  if (barred) {
    const [x, y] = [BAR * Math.cos(tilt), BAR * Math.sin(tilt)];
    parts.push(svg("line", { x1: -x, y1: -y, x2: x, y2: y, stroke: "currentColor", "stroke-width": 2.6, "stroke-linecap": "round" }));
  }
  parts.push(svg("circle", { r: barred ? BULGE[letter] * 0.85 : BULGE[letter], fill: "currentColor" }));
  return parts;
}

function star() {
  const spikes = "M0-17L1.6-1.6 17 0 1.6 1.6 0 17-1.6 1.6-17 0-1.6-1.6Z";
  return [svg("path", { d: spikes, fill: "currentColor" }), svg("circle", { r: 5, fill: "currentColor", "fill-opacity": 0.35 })];
}

/** The shapes of a glyph, filling -20..20, in the current colour. */
export function drawing(cls) {
  if (cls === "Er") return isophotes(13, 13);
  if (cls === "Ei") return isophotes(15.5, 10);
  if (cls === "Ec") return isophotes(17.5, 5);
  if (cls === "Se") return [...isophotes(18.5, 2.6), svg("ellipse", { rx: 5, ry: 4, fill: "currentColor" })];
  if (cls === "A") return star();
  return spiral(cls.at(-1), cls.startsWith("SB"));
}

/** The definitions of all glyphs, to be put into the document once. */
export function glyphSheet() {
  const symbols = CLASSES.map((cls) => svg("symbol", { id: `glyph-${cls}`, viewBox: "-20 -20 40 40" }, drawing(cls)));
  return svg("svg", { class: "sheet", width: 0, height: 0, "aria-hidden": "true" }, symbols);
}

/** A glyph of a class, `size` in the units of the surrounding drawing, centred at (x, y). */
export function glyph(cls, size, x = 0, y = 0) {
  return svg("use", { href: `#glyph-${cls}`, x: x - size / 2, y: y - size / 2, width: size, height: size });
}
