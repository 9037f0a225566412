/** Stored objects as the items that the details show. */

import { getJson, pathOf } from "./api.js";
import { patiently } from "./loading.js";

/** The item of a row of stored predictions. */
export function itemOfRow(row) {
  const { object_id: objectId, model_name: name, model_version: version, ra, dec } = row;
  const record = { ...row, probabilities: row.probabilities ?? {}, model: { name, version }, vote_fractions: row.vote_fractions ?? {} };
  return { key: objectId, name: objectId, objectId, url: pathOf("images", objectId), record: row.predicted_class && record, label: row.human_label, labelledBy: row.labelled_by, position: { ra, dec }, file: null };
}

/** The item of a stored object by a model, "name@version"; null if it has no stored class. */
export async function fetchItem(objectId, model, signal) {
  const path = `v1/predictions?${new URLSearchParams({ ...(model && { model }), object_id: objectId })}`;
  const { predictions: [row] } = await patiently(() => getJson(path, { signal }));
  return row?.predicted_class ? itemOfRow(row) : null;
}

/** The item of an object without a stored prediction: classified now. */
export async function classifiedItem(objectId, model, signal) {
  const { prediction } = await patiently(() => getJson(`${pathOf("images", objectId, "explain")}?${new URLSearchParams({ model })}`, { signal }));
  return { key: objectId, name: objectId, objectId, url: pathOf("images", objectId), record: prediction, label: null, position: null, file: null };
}
