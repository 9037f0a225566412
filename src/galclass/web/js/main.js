/** Start of the page: glyphs, colours, and the view that the address names. */

import { classifyView, sayService } from "./classify.js";
import { h } from "./dom.js";
import { prepareSmallFork } from "./fork.js";
import { glyphSheet } from "./glyphs.js";
import { serviceLine } from "./service.js";
import { startTheme } from "./theme.js";

const VIEWS = {
  classify: async () => classifyView,
  catalog: async () => (await import("./catalog.js")).catalogView,
  models: async () => (await import("./models.js")).modelsView,
  services: async () => (await import("./services.js")).servicesView,
};

let ending = null;

async function show() {
  const [name] = location.hash.replace(/^#\//, "").split(/[/?]/);
  const known = Object.hasOwn(VIEWS, name) ? name : "classify";
  ending?.abort();
  ending = new AbortController();
  const { signal } = ending;
  for (const link of document.querySelectorAll(".masthead nav a")) {
    if (link.hash === `#/${known}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const view = await VIEWS[known]();
  if (signal.aborted) return;
  const main = document.getElementById("view");
  main.className = `view-${known}`;
  main.replaceChildren(...[await view(signal)].flat().filter(Boolean));
}

document.body.append(glyphSheet(), h("div", { class: "drop-here", "aria-hidden": "true" }, h("p", {}, "Drop to classify")));
prepareSmallFork();
startTheme(document.getElementById("theme"));
window.addEventListener("hashchange", async () => {
  await show();
  document.getElementById("view").focus({ preventScroll: true });
  window.scrollTo(0, 0);
});
await show();
await sayService(document.getElementById("in-use"), serviceLine);
