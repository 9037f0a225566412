/** Pictures of stored objects: plain addresses, or fetched with the token where reading is not open. */

import { ApiError, pathOf, ServerLost, storedImage } from "./api.js";
import { h } from "./dom.js";
import { currentToken } from "./token.js";

async function withTheToken(image, objectId) {
  try {
    image.src = URL.createObjectURL(await storedImage(objectId));
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof ServerLost)) throw error;
    image.dispatchEvent(new Event("error"));
  }
}

/** The picture of a stored object on a plate; an empty plate where there is none. */
export function storedPicture(objectId, size) {
  const image = h("img", { alt: "", width: size, height: size, loading: "lazy", decoding: "async" });
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "no-picture" })));
  if (currentToken()) withTheToken(image, objectId);
  else image.src = pathOf("images", objectId);
  return h("div", { class: "plate" }, image);
}
