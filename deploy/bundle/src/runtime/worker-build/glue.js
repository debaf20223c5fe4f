// Gives worker-build's bundle the form of our own glue: `instantiate` makes a fresh instance the current one. Unlike our glue, the
// glue in the bundle has its state at module level, so all instances share it, one after the other.

import { captured } from "./capture.js";
import * as built from "./build/index.js";

let used = false;

export function instantiate(host) {
  // The imports of the wasm find the host by this name.
  globalThis.__realgar = host;
  if (used) {
    // The bundle replaces its instance when this flag is set and one of its classes is constructed.
    globalThis.__worker_init_state.criticalError = true;
    new built.RealgarObject();
  }
  used = true;
  const { realgarArm, realgarCall, realgarCancel, realgarFetch, realgarObject, realgarQueue, realgarScheduled, realgarSettled } = built.default.prototype;
  return { register: captured.exports.__realgar_register, realgarArm, realgarCall, realgarCancel, realgarFetch, realgarObject, realgarQueue, realgarScheduled, realgarSettled };
}
