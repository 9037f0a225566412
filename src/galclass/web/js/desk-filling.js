/** Embeddings that a desk needs, computed by the server while its galaxies are labelled. */

import { getJson } from "./api.js";
import { h } from "./dom.js";
import { patiently } from "./loading.js";
import { notify } from "./notices.js";

const LOOK_MS = 700; // between two checks
const IN_VAIN = 3; // requests to go on, before the page gives up

const counted = (count) => count.toLocaleString("en");

/** Let the server compute the embeddings for a desk, and show the progress there; `look()` is called after each check. */
export async function computeEmbeddings(work, look) {
  try {
    const isComplete = await follow(work, look);
    if (!isComplete) notify("The server does not go on reading images; a reload asks it again.", { key: "desk" });
  } finally {
    work.filling.hidden = true;
  }
  await work.refresh();
}

/** Ask again and again; false if the server does not go on. */
async function follow({ wanted, filling, signal }, look) {
  const model = wanted.model ? `?${new URLSearchParams({ model: wanted.model })}` : "";
  const ask = (method) => patiently(() => getJson(`v1/embeddings${model}`, { method, signal }));
  let progress = await ask("POST");
  let [most, inVain] = [progress.done, 0];
  while (progress.done < progress.total && !signal.aborted) {
    const { done, total, running } = progress;
    if (done > most) [most, inVain] = [done, 0];
    else if (!running && (inVain += 1) > IN_VAIN) return false;
    filling.hidden = false;
    filling.replaceChildren(h("progress", { max: total, value: done, "aria-label": "Images read" }), h("p", {}, `Reading images: ${counted(done)} of ${counted(total)}. You can already start.`));
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    progress = await ask(running ? "GET" : "POST"); // a server that was started again goes on when it is asked
    await look();
  }
  return true;
}
