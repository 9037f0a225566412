/** The buttons over the map: zoom, the whole map, a line around galaxies to select. */

import { h } from "./dom.js";

/** Build them for a canvas. */
export function mapTools(canvas) {
  const button = (text, label, run, extra = {}) => h("button", { type: "button", "aria-label": label, title: label, onclick: run, ...extra }, text);
  const select = button("Select", "Draw a line around galaxies to select (or Shift and drag)", () => {
    canvas.selecting = !canvas.selecting;
    select.setAttribute("aria-pressed", String(canvas.selecting));
    canvas.element.classList.toggle("selecting", canvas.selecting);
  }, { "aria-pressed": "false" });
  return h("div", { class: "map-tools", role: "group", "aria-label": "Map" }, button("+", "Zoom in (+)", () => canvas.zoom(1.5)), button("−", "Zoom out (−)", () => canvas.zoom(1 / 1.5)), button("All", "Show the whole map (0)", () => canvas.showAll()), select);
}
