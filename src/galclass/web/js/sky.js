/** Where the filtered objects are: the whole sky in a Hammer projection (equal areas). */

import { getJson } from "./api.js";
import { h } from "./dom.js";
import { groupOf, GROUPS, GROUP_NAMES } from "./morphology.js";

const WIDE = 1200; // px of the drawing
const TALL = 600;
const NEAR_PX = 12; // from the pointer to an object
const STEP_DEG = 30; // of the grid on the whole sky
const CONE_SHARE = 0.04; // radius of a cone search, as a share of the height

const radians = (degrees) => (degrees * Math.PI) / 180;

/** Hammer projection with 180° in the middle: x in -2..2 (east to the left), y in -1..1. */
export function hammer(ra, dec) {
  const longitude = radians(180 - ra) / 2;
  const depth = Math.sqrt(1 + Math.cos(radians(dec)) * Math.cos(longitude));
  return [(2 * Math.cos(radians(dec)) * Math.sin(longitude)) / depth, Math.sin(radians(dec)) / depth];
}

function wholeSky() {
  const scale = TALL * 0.47;
  const project = (ra, dec) => {
    const [x, y] = hammer(ra, dec);
    return [WIDE / 2 + x * scale, TALL / 2 - y * scale];
  };
  const lines = [];
  const range = (from, to, step) => Array.from({ length: Math.round((to - from) / step) + 1 }, (_, index) => from + index * step);
  for (const dec of range(-60, 60, STEP_DEG)) lines.push(range(0.001, 359.999, 359.998 / 90).map((ra) => project(ra, dec)));
  for (const ra of [0.001, ...range(STEP_DEG, 330, STEP_DEG), 359.999]) lines.push(range(-90, 90, 5).map((dec) => project(ra, dec)));
  const labels = [...range(60, 300, 60).map((ra) => [`${ra}°`, ...project(ra, 3)]), ...[-60, -30, 30, 60].map((dec) => [`${dec > 0 ? "+" : ""}${dec}°`, ...project(180, dec + 3)])];
  return { project, lines, labels };
}

function colours(node) {
  const style = getComputedStyle(node);
  const value = (name) => style.getPropertyValue(name).trim();
  return { Elliptical: value("--elliptical"), Spiral: value("--spiral"), BarredSpiral: value("--barred"), Artifact: value("--artifact"), rule: value("--rule"), faint: value("--faint"), ink: value("--ink") };
}

function paint(canvas, sky, { lines, labels }, spots, chosen) {
  const paints = colours(document.documentElement);
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, WIDE, TALL);
  context.strokeStyle = paints.rule;
  for (const line of lines) {
    context.beginPath();
    for (const [x, y] of line) context.lineTo(x, y);
    context.stroke();
  }
  context.fillStyle = paints.faint;
  context.font = "16px sans-serif";
  context.textAlign = "center";
  for (const [text, x, y] of labels) context.fillText(text, x, y);
  const size = spots.length > 2000 ? 2 : 4;
  spots.forEach(([x, y], index) => {
    context.fillStyle = paints[groupOf(sky.predicted_class[index])] ?? paints.faint;
    context.fillRect(x - size / 2, y - size / 2, size, size);
  });
  if (chosen < 0) return;
  context.strokeStyle = paints.ink;
  context.lineWidth = 2;
  context.strokeRect(spots[chosen][0] - 6, spots[chosen][1] - 6, 12, 12);
  context.lineWidth = 1;
}

function nearest(spots, x, y) {
  let found = -1;
  let least = NEAR_PX ** 2;
  spots.forEach(([sx, sy], index) => {
    const distance = (sx - x) ** 2 + (sy - y) ** 2;
    if (distance <= least) [least, found] = [distance, index];
  });
  return found;
}

/** The map; `open(objectId)` shows an object, `search(cone)` lists those near it. */
export async function skyMap(parameters, open, search) {
  parameters.delete("page");
  const sky = await getJson(`v1/predictions/sky?${parameters}`);
  const count = sky.object_id.length;
  if (!count) return h("p", { class: "nothing" }, "No galaxy with a position matches these filters. galclass images add takes a catalog with right ascension and declination.");
  const counted = sky.total > count ? `the first ${count.toLocaleString("en")} of ${sky.total.toLocaleString("en")} galaxies with a position` : `${count.toLocaleString("en")} galaxies`;
  const frame = wholeSky();
  const spots = sky.ra.map((ra, index) => frame.project(ra, sky.dec[index]));
  let chosen = -1;
  const told = h("p", { class: "note", "aria-live": "polite" });
  const canvas = h("canvas", { class: "sky", width: WIDE, height: TALL, tabindex: 0, role: "img", "aria-label": `Sky map of ${counted}. Arrow keys choose one, Enter opens it.` });
  const choose = (index) => {
    chosen = index;
    paint(canvas, sky, frame, spots, chosen);
    const at = (ra, dec) => `${ra.toFixed(4)}, ${dec >= 0 ? "+" : ""}${dec.toFixed(4)}`;
    told.replaceChildren(...(chosen < 0 ? [`${counted[0].toUpperCase()}${counted.slice(1)}. Choose one, or use the table.`] : [
      `${sky.object_id[chosen]}: ${sky.predicted_class[chosen] ?? "no class"}, ${at(sky.ra[chosen], sky.dec[chosen])} `,
      h("button", { type: "button", class: "quiet", onclick: () => open(sky.object_id[chosen]) }, "Open"), " ",
      h("button", { type: "button", class: "quiet", onclick: () => search(`${sky.ra[chosen].toFixed(6)} ${sky.dec[chosen].toFixed(6)} ${(180 * CONE_SHARE).toFixed(1)} deg`) }, "List objects nearby"),
    ]));
  };
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    choose(nearest(spots, ((event.clientX - box.left) * WIDE) / box.width, ((event.clientY - box.top) * TALL) / box.height));
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" && chosen >= 0) {
      event.preventDefault(); // else the same press would close what it opens
      open(sky.object_id[chosen]);
    }
    if (!step) return;
    event.preventDefault();
    choose((chosen + step + count) % count);
  });
  choose(-1);
  const key = Object.keys(GROUPS).map((group) => h("span", { class: `sky-key group-${group}` }, GROUP_NAMES[group]));
  return h("figure", { class: "sky-place" }, canvas, h("figcaption", {}, key, " Equal areas; right ascension increases to the left, 180° in the middle."), told);
}
