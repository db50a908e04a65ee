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
  // A length that changes between two looks could be made with it.
  delete globalThis.Proxy;
  // Loops of the engine that count no steps need bounds of their own.
  const guard = (prototype, names, checked) => {
    for (const name of names) {
      const original = prototype[name];
      const value = function (...given) {
        return Reflect.apply(original, checked(this, given), given);
      };
      Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
    }
  };
  const { isArray } = Array;
  const { getOwnPropertyDescriptor } = Object;
  guard(
    Array.prototype,
    ["join", "reverse", "sort", "copyWithin", "slice", "splice", "concat", "shift", "unshift", "toLocaleString", "flat"],
    (list, given) => {
      const length = isArray(list) ? list.length : getOwnPropertyDescriptor(Object(list), "length")?.value;
      const isHuge = (item) => isArray(item) && item.length > 16777216;
      if (typeof length !== "number" || length > 16777216 || given.some(isHuge)) {
        throw new RangeError("such a list is more than the sandbox takes");
      }
      return list;
    },
  );
  guard(
    String.prototype,
    ["indexOf", "lastIndexOf", "includes", "split", "replace", "replaceAll"],
    (text, [part]) => {
      const whole = typeof text === "string" ? text : `${text}`;
      if (typeof part === "string" && whole.length * part.length > 2147483648) {
        throw new RangeError("looking for that long a text is more than the sandbox takes");
      }
      return whole;
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
