/** Pictures of stored objects: plain URLs, or fetched with the token if reading requires one. */

import { ApiError, pathOf, ServerLost, storedImage } from "./api.js";
import { untilBack } from "./connection.js";
import { h } from "./dom.js";
import { currentToken } from "./token.js";

const copies = new Set(); // URLs of pictures fetched with the token

/** The URL of the picture of a stored object, to be freed once it is drawn; null if the token does not help. Waits for a lost server. */
export async function pictureUrl(objectId) {
  for (;;) {
    if (!currentToken()) return pathOf("images", objectId);
    try {
      const url = URL.createObjectURL(await storedImage(objectId));
      copies.add(url);
      return url;
    } catch (error) {
      if (error instanceof ApiError) return null;
      if (!(error instanceof ServerLost)) throw error;
      await untilBack(error.afterS);
    }
  }
}

/** Free a picture fetched with the token; other URLs stay as they are. */
export function freePicture(url) {
  if (copies.delete(url)) URL.revokeObjectURL(url);
}

/** The picture of a stored object on a plate; an empty plate if there is none. */
export function storedPicture(objectId, size) {
  const image = h("img", { alt: "", width: size, height: size, loading: "lazy", decoding: "async" });
  const empty = () => image.replaceWith(h("span", { class: "no-picture" }));
  image.addEventListener("error", empty);
  for (const end of ["load", "error"]) image.addEventListener(end, () => freePicture(image.src));
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
