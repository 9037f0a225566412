/** Labels on their way to the server: leaving the page before they are stored asks first. */

let count = 0;

window.addEventListener("beforeunload", (event) => count && event.preventDefault());

/** Run a request that stores something the reader gave; returns what it returns. */
export async function guarded(run) {
  count += 1;
  try {
    return await run();
  } finally {
    count -= 1;
  }
}
