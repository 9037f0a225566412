/** Which key stands for which class at the label desk, and which keys do the rest. */

const KEYS = [..."123456789qwertyuopadhjkvbmz"]; // what is left of the letters has its own meaning

/** [key, class] for each class; classes beyond the keys have an empty one and are clicked. */
export function keysOf(classes) {
  return classes.map((name, index) => [KEYS[index] ?? "", name]);
}

/** The other keys with what they run. */
export function reservedKeys(run) {
  return {
    " ": run.skip, Backspace: run.undo, x: run.untold, n: run.note, l: run.list, f: run.full, i: run.invert, s: run.stretch,
    "+": () => run.zoom(1), "=": () => run.zoom(1), "-": () => run.zoom(-1),
  };
}
