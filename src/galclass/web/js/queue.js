/** Sends waiting images to the service, a few at a time; waits out a lost server and keeps every image. */

import { ApiError, askService, cutoutOf, inWords, ServerLost, withToken } from "./api.js";
import { untilBack } from "./connection.js";
import { forgetService } from "./service.js";
import { isFits, sendable, UnreadableFile } from "./formats.js";

const SIDE_BY_SIDE = 4; // requests at a time; a browser opens six connections, two stay free for the page
const RETRY_AFTER_S = [1, 3]; // after a server error (500); then the image waits for the reader to retry

/** Largest file that is sent, in bytes; a survey cutout has 0.02 MB. */
export const LARGEST_FILE_BYTES = 32 * 1024 * 1024;

const isDenied = (error) => error instanceof ApiError && [401, 403].includes(error.status);

/** Whether sending the image again may help: a server error, a missing token, or no service. */
function isPassing(error) {
  return error instanceof ApiError && (error.status >= 500 || error.status === 408 || isDenied(error) || error.code === "unknown_service");
}

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

export class Queue {
  #waiting = [];
  #running = 0;
  #abort = new AbortController();

  constructor(store, findService) {
    this.store = store;
    this.findService = findService;
  }

  /** Queue items and send them when there is room. */
  push(items) {
    for (const item of items) {
      if (item.file.size === 0) this.#reject(item, "The file is empty.");
      else this.#waiting.push(item);
    }
    while (this.#running < SIDE_BY_SIDE && this.#waiting.length) this.#work();
  }

  /** Resend those items that the server failed on. */
  retry(items) {
    const failed = items.filter(({ status }) => status === "failed"); // a second click comes before the button is gone
    for (const item of failed) this.store.update(item, { status: "waiting", reason: "" });
    this.push(failed);
  }

  /** Drop waiting items and those in flight. */
  clear() {
    this.#waiting = [];
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  #reject(item, reason) {
    this.store.update(item, { status: "rejected", reason });
  }

  #fail(items, error) {
    const reason = error.status >= 500 ? "The server failed on this image." : inWords(error);
    for (const item of items) this.store.update(item, { status: "failed", reason });
  }

  async #work() {
    this.#running += 1;
    while (this.#waiting.length) await this.#classify(this.#waiting.shift(), this.#abort.signal);
    this.#running -= 1;
  }

  async #classify(item, signal) {
    this.store.update(item, { status: "sending" });
    try {
      if (!(await this.#prepare(item))) return;
      const fits = await isFits(item.file); // before it is sent: a file that vanishes later keeps its class
      const { service, record } = await this.#ask(item, signal);
      if (signal.aborted || !record) return;
      if (record.error) return this.#reject(item, inWords({ message: String(record.error.message ?? record.error) }));
      const { name, version } = service;
      this.store.update(item, { status: "done", record, service: { name, version }, scoredAt: new Date().toISOString() });
      if (fits) await this.#drawFits(item, service, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (isPassing(error)) this.#fail([item, ...(isDenied(error) ? this.#waiting.splice(0) : [])], error); // the others would ask for the token again
      else this.#reject(item, error instanceof ApiError || error instanceof UnreadableFile ? inWords(error) : `The file cannot be read: ${inWords(error)}`);
    }
  }

  /** Convert the file to one that the service reads; false if it was rejected. */
  async #prepare(item) {
    const { file, converted } = await sendable(item.file);
    if (file.size > LARGEST_FILE_BYTES) return this.#reject(item, "The file is larger than 32 MB."), false;
    if (converted) this.store.replaceFile(item, file, converted);
    return true;
  }

  /** No browser draws FITS: show what the model saw. */
  async #drawFits(item, service, signal) {
    try {
      const preview = await withToken(() => cutoutOf(service, { ...item, signal }));
      if (!signal.aborted) this.store.setPreview(item, preview);
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof ServerLost || error.name === "AbortError")) throw error; // it has its class; the plate stays empty
    }
  }

  async #ask(item, signal) {
    for (let failures = 0; ; ) {
      try {
        const service = await this.findService();
        const record = await withToken(() => askService(service, "predict", { ...item, signal }));
        if (record.model && record.model.sha256 !== service.model.sha256) forgetService(); // another server answers under this name
        return { service, record };
      } catch (error) {
        if (error instanceof ServerLost) await untilBack(error.afterS);
        else if (error instanceof ApiError && error.code === "unknown_service" && failures === 0) (forgetService(), (failures += 1)); // it was deleted while this page was open
        else if (error instanceof ApiError && error.status >= 500 && failures < RETRY_AFTER_S.length) await sleep(RETRY_AFTER_S[failures++]);
        else throw error;
        if (signal.aborted) return { record: null };
      }
    }
  }
}
