/** The view "Label": desks to choose from, or one desk with its picture, keys and ranked list. */

import { deskOfAddress } from "./desk-address.js";
import { startDesk } from "./desk-start.js";
import { DeskWork } from "./desk-work.js";

/** Build the view; `signal` ends it. */
export function labelView(signal) {
  const wanted = deskOfAddress();
  return wanted.desk && wanted.target ? new DeskWork(wanted, signal).element : startDesk(signal);
}
