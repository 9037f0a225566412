/** Pictures of the map's objects: sheets of 256 from the server, requested when visible, the oldest dropped. */

import { ApiError, request, ServerLost } from "./api.js";
import { untilBack } from "./connection.js";

const SIDE_BY_SIDE = 3; // requests at a time
const KEPT = 90; // sheets; one takes 2.4 MB

export class Sheets {
  #sheets = new Map(); // number -> bitmap, "asked", or null where there is none
  #waiting = [];
  #running = 0;

  /** `drawn(number)` is called when a sheet has arrived, `stale()` when the server has another map. */
  constructor(map, reference, signal, { drawn, stale }) {
    Object.assign(this, { map, reference, signal, drawn, stale });
    signal.addEventListener("abort", () => this.#end());
  }

  /** [bitmap, left, top, side] of an object's picture; null: not loaded yet, or none. */
  pictureOf(index) {
    const { pictures, across, picture_px: side } = this.map.sheets;
    const number = Math.floor(index / pictures);
    const sheet = this.#sheets.get(number);
    if (sheet === undefined) this.#ask(number);
    if (!sheet || sheet === "asked") return null;
    this.#sheets.delete(number); // used last
    this.#sheets.set(number, sheet);
    const place = index % pictures;
    return [sheet, (place % across) * side, Math.floor(place / across) * side, side];
  }

  #ask(number) {
    this.#sheets.set(number, "asked");
    this.#waiting.push(number);
    if (this.#running < SIDE_BY_SIDE) this.#work();
  }

  async #work() {
    this.#running += 1;
    while (this.#waiting.length && !this.signal.aborted) await this.#fetch(this.#waiting.pop()); // the last one seen comes first
    this.#running -= 1;
  }

  async #fetch(number) {
    const path = `v1/map/sheets/${number}?${new URLSearchParams({ model: this.reference, version: this.map.version })}`;
    try {
      const bitmap = await createImageBitmap(await (await request(path, { signal: this.signal })).blob());
      if (this.signal.aborted) return bitmap.close();
      this.#sheets.set(number, bitmap);
      this.#letGo();
      this.drawn(number);
    } catch (error) {
      if (error.name === "AbortError" || this.signal.aborted) return;
      this.#sheets.set(number, null);
      if (error instanceof ApiError && error.status === 409) return this.stale();
      if (!(error instanceof ServerLost)) return; // no pictures, only colours
      this.#sheets.set(number, "asked");
      await untilBack(error.afterS);
      this.#waiting.push(number);
    }
  }

  #letGo() {
    for (const [number, sheet] of this.#sheets) {
      if (this.#sheets.size <= KEPT) return;
      if (!sheet || sheet === "asked") continue;
      sheet.close();
      this.#sheets.delete(number);
    }
  }

  #end() {
    for (const sheet of this.#sheets.values()) if (sheet && sheet !== "asked") sheet.close();
    this.#sheets.clear();
    this.#waiting = [];
  }
}
