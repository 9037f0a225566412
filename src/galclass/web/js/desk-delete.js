/** The requester's label of an object at a desk, deleted. */

import { ApiError, getJson, pathOf } from "./api.js";
import { patiently } from "./loading.js";

/** Delete it; none there is as good, since the response to an earlier attempt may have been lost. */
export async function deleteLabel(desk, objectId) {
  try {
    await patiently(() => getJson(`${pathOf("desks", desk)}/labels/${encodeURIComponent(objectId)}`, { method: "DELETE" }));
  } catch (error) {
    if (!(error instanceof ApiError && error.code === "unknown_object")) throw error;
  }
}
