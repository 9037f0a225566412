/** Bundled sample galaxies: one click classifies them, with what the volunteers said beside. */

import { ApiError, getJson, request } from "./api.js";
import { h } from "./dom.js";

const SHOWN = 12; // examples of one click

async function load({ object_id: name, label, image, votes }) {
  const file = await (await request(image.replace(/^\//, ""))).blob();
  return { file, name, framePx: null, votes: { cls: label, fractions: votes } }; // stored images are whole frames
}

/** A button that classifies the examples; it hides itself where the server has none. */
export function exampleButton(take) {
  const button = h("button", { type: "button" }, "Try examples");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const { examples } = await getJson("v1/examples");
      button.hidden = examples.length === 0;
      take(await Promise.all(examples.slice(0, SHOWN).map(load)));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      button.hidden = true;
    } finally {
      button.disabled = false;
    }
  });
  return button;
}
