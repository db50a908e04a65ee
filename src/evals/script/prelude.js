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
  // Loops of the engine that count no steps need bounds of their own.
  const guard = (prototype, names, check) => {
    for (const name of names) {
      const original = prototype[name];
      const value = function (...given) {
        check(this, given);
        return Reflect.apply(original, this, given);
      };
      Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
    }
  };
  guard(
    Array.prototype,
    ["join", "reverse", "sort", "copyWithin", "slice", "splice", "concat", "shift", "unshift", "toLocaleString", "flat"],
    (list) => {
      if (list !== null && list !== undefined && list.length > 16777216) {
        throw new RangeError(`an array of ${list.length} items is more than the sandbox takes`);
      }
    },
  );
  guard(
    String.prototype,
    ["indexOf", "lastIndexOf", "includes", "split", "replace", "replaceAll"],
    (text, [part]) => {
      if (typeof part === "string" && String(text).length * part.length > 2147483648) {
        throw new RangeError("looking for that long a text is more than the sandbox takes");
      }
    },
  );
  let state = 0x9e3779b9;
  Math.random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
})();
