/** A region that is filled from the API: shows that it loads, then the content or the error in words. */

import { ApiError, inWords, ServerLost, withToken } from "./api.js";
import { untilBack } from "./connection.js";
import { h } from "./dom.js";

const latest = new WeakMap(); // an element and the load that may fill it: an older response never overwrites a newer one

/** Fill `place` with the nodes that `load()` promises; wait for a lost server, show a refusal. */
export async function fill(place, load, signal = null) {
  const turn = Symbol("load");
  latest.set(place, turn);
  const mayFill = () => latest.get(place) === turn && !signal?.aborted;
  place.setAttribute("aria-busy", "true");
  if (!place.firstChild) place.replaceChildren(h("p", { class: "note" }, "Loading…"));
  try {
    const nodes = await patiently(load);
    if (mayFill()) place.replaceChildren(...[nodes].flat(Infinity).filter(Boolean));
  } catch (error) {
    if (error.name === "AbortError") return; // the view was left
    const isOurs = !(error instanceof ApiError); // a fault of the page, which is reported, not only shown
    if (mayFill()) place.replaceChildren(isOurs ? h("p", { class: "fault", role: "alert" }, `The page cannot show this: ${inWords(error)}`) : faultLine(error, () => fill(place, load, signal)));
    if (isOurs) throw error;
  } finally {
    if (mayFill()) place.removeAttribute("aria-busy");
  }
}

/** The error in words; if it may be transient, with a button to retry. */
function faultLine(error, again) {
  const mayPass = error.status >= 500 || [401, 403, 408].includes(error.status);
  return h("p", { class: "fault", role: "alert" }, inWords(error), " ", mayPass && h("button", { type: "button", class: "quiet", onclick: again }, "Try again"));
}

/** Run a request until the server responds. */
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
