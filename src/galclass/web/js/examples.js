/** Test galaxies that the model was not trained on: one click classifies a dozen, with the volunteers' votes beside. */

import { ApiError, bodyOf, getJson, inWords, request } from "./api.js";
import { h } from "./dom.js";
import { patiently } from "./loading.js";
import { notify } from "./notices.js";

const SHOWN = 12; // examples of one click

let draw = 0; // each click draws others

async function load({ object_id: name, image, frame_px: framePx, ...votes }) {
  const file = await bodyOf(await request(image.replace(/^\//, "")), "blob");
  return { file, name, framePx, votes: { text: votes.text, classes: votes.classes, fractions: votes.votes } };
}

/** A button that classifies examples: a random draw in the proportions of the test split. */
export function exampleButton(take) {
  const button = h("button", { type: "button" }, "Try examples");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const { examples } = await patiently(() => getJson(`v1/examples?draw=${draw}&count=${SHOWN}`));
      draw += 1;
      if (!examples.length) notify("This server has no prepared test split to draw examples from.", { key: "examples" });
      take(await patiently(() => Promise.all(examples.map(load))));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      notify(inWords(error), { key: "examples" });
    } finally {
      button.disabled = false;
      if (document.activeElement === document.body) button.focus({ preventScroll: true }); // a disabled button loses the focus
    }
  });
  return button;
}
