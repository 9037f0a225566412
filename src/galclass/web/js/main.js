/** Start of the page: glyphs, colours, and the view that the address names. */

import { classifyView } from "./classify.js";
import { imported } from "./connection.js";
import { h } from "./dom.js";
import { prepareSmallFork } from "./fork.js";
import { glyphSheet } from "./glyphs.js";
import { startHelp } from "./help.js";
import { showService, watchServices } from "./service.js";
import { startTheme } from "./theme.js";
import { stretchSheet } from "./viewer.js";

const VIEWS = {
  classify: { title: "Classify", load: async () => classifyView },
  label: { title: "Label", load: async () => (await import("./desk.js")).labelView },
  map: { title: "Map", load: async () => (await import("./map.js")).mapView },
  catalog: { title: "Catalog", load: async () => (await import("./catalog.js")).catalogView },
  models: { title: "Models", load: async () => (await import("./models.js")).modelsView },
  services: { title: "Services", load: async () => (await import("./services.js")).servicesView },
};

let ending = null;

const LATER = [() => import("./report.js"), () => import("./report-labels.js"), () => import("./own-similar.js"), () => import("./side-by-side.js")];

/** Show the view that the address names; false if another was chosen before its code was here. */
async function show() {
  const [name] = location.hash.replace(/^#\//, "").split(/[/?]/);
  const known = Object.hasOwn(VIEWS, name) ? name : "classify";
  ending?.abort();
  ending = new AbortController();
  const { signal } = ending;
  document.title = `${VIEWS[known].title} · galclass`;
  for (const link of document.querySelectorAll(".masthead nav a")) {
    if (link.hash === `#/${known}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const main = document.getElementById("view");
  main.setAttribute("aria-busy", "true");
  const view = await imported(VIEWS[known].load);
  if (signal.aborted) return false;
  main.className = `view-${known}`;
  main.removeAttribute("aria-busy");
  main.replaceChildren(...[await view(signal)].flat().filter(Boolean));
  return true;
}

/** A button that removed or hid itself takes the focus along: continue at the view. */
function keepFocus() {
  const focused = document.activeElement;
  if (focused === document.body || !focused.checkVisibility()) document.getElementById("view").focus({ preventScroll: true });
}

document.body.append(glyphSheet(), stretchSheet(), h("div", { class: "drop-here", "aria-hidden": "true" }, h("p", {}, "Drop to classify")));
prepareSmallFork();
startTheme(document.getElementById("theme"));
startHelp(document.getElementById("help"));
window.addEventListener("hashchange", async () => {
  if (!(await show())) return;
  document.getElementById("view").focus({ preventScroll: true });
  window.scrollTo(0, 0);
});
document.addEventListener("click", ({ detail }) => detail || requestAnimationFrame(keepFocus)); // pressed with a key
await show();
await showService(document.getElementById("in-use"));
watchServices();
for (const load of [...Object.values(VIEWS).map((view) => view.load), ...LATER]) load().catch(() => {}); // prefetched, so that tabs switch while the server is away; a failure appears when the view is opened
