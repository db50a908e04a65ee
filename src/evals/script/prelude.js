(() => {
  "use strict";
  const refuse = (name) => () => {
    throw new Error(`the sandbox has no IO: \`${name}\` is not there`);
  };
  const define = (name, value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  for (const name of ["require", "fetch", "setTimeout", "setInterval", "setImmediate", "XMLHttpRequest"]) {
    define(name, refuse(name));
  }
  define("process", new Proxy(Object.create(null), { get: refuse("process"), has: refuse("process") }));
  const silent = () => undefined;
  define("console", { log: silent, info: silent, warn: silent, error: silent, debug: silent, trace: silent });
  if (typeof structuredClone === "undefined") {
    define("structuredClone", (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value))));
  }
  // Loops of the engine that count no steps: without a bound a length that was only claimed never ends.
  const most = 1 << 24;
  for (const name of ["join", "reverse", "sort", "copyWithin", "fill", "slice", "splice", "concat", "shift",
    "unshift", "toReversed", "toSorted", "toSpliced", "with", "toString", "toLocaleString", "flat", "keys",
    "entries", "values"]) {
    const original = Array.prototype[name];
    if (typeof original !== "function") continue;
    const bounded = {
      [name](...given) {
        if (this !== null && this !== undefined && this.length > most) {
          throw new RangeError(`an array of ${this.length} items is more than the sandbox takes`);
        }
        return Reflect.apply(original, this, given);
      },
    }[name];
    Object.defineProperty(Array.prototype, name, { value: bounded, writable: true, configurable: true });
  }
  let state = 0x9e3779b9;
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
})();
