/** Whether the server responds: one banner for the whole page, and a wait that ends when it is back. */

import { isAlive } from "./api.js";

const WAITS_S = [1, 2, 4, 8]; // between checks of the server; the last repeats

let waiting = null;

function say(text) {
  const banner = document.getElementById("banner");
  banner.textContent = text;
  banner.hidden = !text;
}

const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

async function lookUntilBack(firstWaitS) {
  for (let look = 0; ; look += 1) {
    const waitS = look === 0 && firstWaitS ? firstWaitS : WAITS_S[Math.min(look, WAITS_S.length - 1)];
    if (look > 0 || !firstWaitS) {
      say(`The server is not responding. Your images are kept; trying again every ${waitS === 1 ? "second" : `${waitS} seconds`}.`);
    }
    await sleep(waitS);
    if (await isAlive()) break;
  }
  say("");
  waiting = null;
}

/** Wait until the server is back; all callers share one watch. */
export function untilBack(afterS = null) {
  waiting ??= lookUntilBack(afterS);
  return waiting;
}

/** The module that `load()` imports; waits for a lost server. */
export async function imported(load) {
  for (;;) {
    try {
      return await load();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // thrown by import() if there is no response
      await untilBack();
    }
  }
}
