// Keeps the exports of the wasm instance that worker-build's bundle makes for itself. This module is evaluated before that bundle.

export const captured = { exports: undefined };

const Instance = WebAssembly.Instance;
WebAssembly.Instance = function (module, imports) {
  const instance = new Instance(module, imports);
  captured.exports = instance.exports;
  return instance;
};
WebAssembly.Instance.prototype = Instance.prototype;
