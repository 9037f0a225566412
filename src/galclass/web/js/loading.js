/** A region that is filled from the API: says that it loads, fills, or says in words why not. */

import { ApiError, inWords, ServerLost, withToken } from "./api.js";
import { untilBack } from "./connection.js";
import { h } from "./dom.js";

/** Fill `place` with the nodes that `load()` promises; a lost server is waited for, a refusal is shown. */
export async function fill(place, load, signal = null) {
  place.setAttribute("aria-busy", "true");
  if (!place.firstChild) place.replaceChildren(h("p", { class: "note" }, "Loading…"));
  try {
    const nodes = await patiently(load);
    if (!signal?.aborted) place.replaceChildren(...[nodes].flat(Infinity).filter(Boolean));
  } catch (error) {
    if (error.name === "AbortError") return; // the view was left
    if (!(error instanceof ApiError)) throw error;
    if (!signal?.aborted) place.replaceChildren(h("p", { class: "fault", role: "alert" }, inWords(error)));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** Run a request until the server answers. */
export async function patiently(load) {
  for (;;) {
    try {
      return await withToken(load);
    } catch (error) {
      if (!(error instanceof ServerLost)) throw error;
      await untilBack(error.afterS);
    }
  }
}
