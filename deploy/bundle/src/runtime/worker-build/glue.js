// worker-build's bundle in the form of our own glue: `instantiate` makes a fresh instance the current one. The glue in the
// bundle has its state at module level, so unlike ours it is shared by all instances, one after the other.

import { captured } from "./capture.js";
import * as built from "./build/index.js";

let used = false;

export function instantiate(host) {
  // The imports of the wasm find the host by this name.
  globalThis.__realgar = host;
  if (used) {
    // This is how the bundle is told to replace its instance: at the next construction of one of its classes.
    globalThis.__worker_init_state.criticalError = true;
    new built.RealgarObject();
  }
  used = true;
  const { realgarArm, realgarCall, realgarCancel, realgarFetch, realgarObject, realgarQueue, realgarScheduled, realgarSettled } = built.default.prototype;
  return { register: captured.exports.__realgar_register, realgarArm, realgarCall, realgarCancel, realgarFetch, realgarObject, realgarQueue, realgarScheduled, realgarSettled };
}
