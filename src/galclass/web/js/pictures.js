/** Pictures of stored objects: plain URLs, or fetched with the token if reading requires one. */

import { ApiError, pathOf, ServerLost, storedImage } from "./api.js";
import { h } from "./dom.js";
import { currentToken } from "./token.js";

/** The URL of the picture of a stored object; null if the token does not help. */
export async function pictureUrl(objectId) {
  if (!currentToken()) return pathOf("images", objectId);
  try {
    return URL.createObjectURL(await storedImage(objectId));
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof ServerLost)) throw error;
    return null;
  }
}

/** The picture of a stored object on a plate; an empty plate if there is none. */
export function storedPicture(objectId, size) {
  const image = h("img", { alt: "", width: size, height: size, loading: "lazy", decoding: "async" });
  const empty = () => image.replaceWith(h("span", { class: "no-picture" }));
  image.addEventListener("error", empty);
  image.addEventListener("load", () => URL.revokeObjectURL(image.src)); // drawn: the copy fetched with the token is freed
  pictureUrl(objectId).then((url) => {
    if (url?.startsWith("blob:")) image.loading = "eager"; // it is here already
    if (url) image.src = url;
    else empty();
  });
  return h("div", { class: "plate" }, image);
}

/** An image of this visit as a square bitmap; null if the browser cannot draw its file. */
export async function smallPicture({ preview, file }, sidePx) {
  try {
    return await createImageBitmap(preview ?? file, { resizeWidth: sidePx, resizeHeight: sidePx, resizeQuality: "medium" });
  } catch {
    return null; // decoders throw errors of many kinds
  }
}
