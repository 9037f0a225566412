/** Embeddings of the images of this visit, from the service that classified them, a few at a time. */

import { ApiError, getJson, pathOf, whileReadable } from "./api.js";
import { isReadable } from "./formats.js";
import { patiently } from "./loading.js";

const TOGETHER = 16; // images in a request
const TOGETHER_BYTES = 8 * 1024 * 1024;

/** Groups of items that one request can hold: of one service and frame, within count and bytes. */
function groups(items) {
  const open = new Map();
  const found = [];
  for (const item of items) {
    const key = JSON.stringify([item.service.name, item.service.version, item.framePx]);
    let group = open.get(key);
    if (!group || group.length === TOGETHER || group.reduce((sum, { file }) => sum + file.size, item.file.size) > TOGETHER_BYTES) {
      group = [];
      open.set(key, group);
      found.push(group);
    }
    group.push(item);
  }
  return found;
}

async function ask(group, signal) {
  const [{ service, framePx }] = group;
  const form = new FormData();
  group.forEach(({ file }, index) => form.append("images", file, `${index}.img`)); // unique names: two files may have one name
  const query = new URLSearchParams({ embedding: "true", ...(framePx && { frame_px: framePx }) });
  const path = `${pathOf("services", service.name, service.version, "predict")}?${query}`;
  const send = () => getJson(path, { method: "POST", body: form, headers: { Accept: "application/json" }, signal });
  const body = await patiently(() => whileReadable(group.map(({ file }) => file), send));
  const records = body.predictions ?? [body];
  records.forEach((record, index) => {
    if (record.embedding && record.model.sha256 === group[index].record.model.sha256) group[index].embedding = Float32Array.from(record.embedding); // else the service has another model now
  });
}

let last = Promise.resolve();

/** Run after all that was begun before. */
function alone(run) {
  const mine = last.then(run);
  last = mine.catch(() => {});
  return mine;
}

const lacks = ({ record, service, embedding, file }) => record && service && file && !embedding;

/** Get the embeddings that classified items lack; `done()` is called after each request. Calls under way at the same time share their requests. */
export async function embed(items, { signal = null, done = () => {} } = {}) {
  const left = new Set(items.filter(lacks)); // not asked for yet by this call
  const askNext = async () => {
    const [group = []] = groups([...left].filter(lacks)); // another call may have got some in the meantime
    for (const item of group) left.delete(item);
    const readable = await Promise.all(group.map(({ file }) => isReadable(file)));
    const asked = group.filter((item, index) => readable[index]);
    if (!group.length) left.clear();
    if (asked.length && !signal?.aborted) await ask(asked, signal);
  };
  while (left.size) {
    try {
      await alone(askNext);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof ApiError)) throw error; // refused: these stay off the map
    }
    if (signal?.aborted) return;
    done();
  }
}

/** The cosine of two embeddings. */
export function cosine(a, b) {
  let [product, left, right] = [0, 0, 0];
  for (let index = 0; index < a.length; index += 1) {
    product += a[index] * b[index];
    left += a[index] ** 2;
    right += b[index] ** 2;
  }
  return left && right ? product / Math.sqrt(left * right) : 0;
}
