/** Sends waiting images to the service, a few at a time; waits out a lost server and keeps every image. */

import { ApiError, askService, inWords, ServerLost } from "./api.js";
import { untilBack } from "./connection.js";

const SIDE_BY_SIDE = 4; // requests at a time; a browser opens six connections, two stay free for the page

/** Largest file that is sent, in bytes; a survey cutout has 0.02 MB. */
export const LARGEST_FILE_BYTES = 32 * 1024 * 1024;

export class Queue {
  #waiting = [];
  #running = 0;
  #abort = new AbortController();

  constructor(store, findService) {
    this.store = store;
    this.findService = findService;
  }

  /** Send items when there is room. */
  push(items) {
    for (const item of items) {
      if (item.file.size > LARGEST_FILE_BYTES) this.#reject(item, "The file is larger than 32 MB.");
      else if (item.file.size === 0) this.#reject(item, "The file is empty.");
      else this.#waiting.push(item);
    }
    while (this.#running < SIDE_BY_SIDE && this.#waiting.length) this.#work();
  }

  /** Drop what waits and what is on its way. */
  clear() {
    this.#waiting = [];
    this.#abort.abort();
    this.#abort = new AbortController();
  }

  #reject(item, reason) {
    this.store.update(item, { status: "rejected", reason });
  }

  async #work() {
    this.#running += 1;
    while (this.#waiting.length) await this.#classify(this.#waiting.shift(), this.#abort.signal);
    this.#running -= 1;
  }

  async #classify(item, signal) {
    this.store.update(item, { status: "sending" });
    for (;;) {
      try {
        const record = await askService(await this.findService(), "predict", { ...item, signal });
        if (signal.aborted) return;
        if (record.error) return this.#reject(item, inWords({ message: String(record.error.message ?? record.error) }));
        return this.store.update(item, { status: "done", record, scoredAt: new Date().toISOString() });
      } catch (error) {
        if (error.name === "AbortError") return;
        if (error instanceof ServerLost) await untilBack(error.afterS);
        else return this.#reject(item, error instanceof ApiError ? inWords(error) : `The file cannot be read: ${error.message}.`);
      }
    }
  }
}
