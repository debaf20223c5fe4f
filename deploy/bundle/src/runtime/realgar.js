// The JavaScript side of the runtime: the life of a wasm instance, and the calls inside it.
//
// One wasm instance serves a whole isolate. If it traps, nothing that waits inside it will ever go on, and the runtime does
// not notice. So every call has a record out here; when the instance dies, the records are rejected, the next call gets a
// new instance, and objects start again from storage. `framework/src/js.rs` and `framework/src/__private/runtime.rs` are
// the other side.

import { env } from "cloudflare:workers";
import { instantiate } from "./glue.js";

/** How often a section behind a closed input gate looks whether its instance is still alive, in milliseconds. */
const WATCH_INTERVAL_MS = 25;
/** How often an object that starts is moved to a new instance because another object broke the old one. */
const START_ATTEMPTS = 5;

let calls = 0;
let life;

/** One wasm instance and the calls inside it. */
class Life {
  dead = false;
  records = new Set();
  // What is known of the death: the call, the panic's text, the exception.
  call = 0;
  text = undefined;
  cause = undefined;

  constructor() {
    this.glue = instantiate(hostOf(this));
    this.glue.realgarArm();
    this.glue.wasm.__realgar_register();
  }

  /** A promise that `enter(record, call)` settles, now or later, or the death of this instance. */
  track(enter, call = ++calls) {
    return new Promise((resolve, reject) => {
      const record = { call, resolve, reject };
      this.records.add(record);
      try {
        enter(record, call);
      } catch (cause) {
        // Nothing that goes well throws here: wasm frames were skipped, and the instance is in no known state.
        this.die(call, cause);
      }
    });
  }

  die(call, cause) {
    this.cause ??= cause;
    if (this.dead) return;
    this.dead = true;
    this.call ||= call;
    // Not below the frames of the dead instance; and by then the exception of the trap has been reported.
    queueMicrotask(() => {
      // The glue wraps an exception of an import in an error of its own.
      const why = this.text ?? String(this.cause?.cause ?? this.cause ?? "the instance was aborted");
      console.error(`Realgar: a wasm instance died: ${why}`);
      for (const record of this.records) record.reject(deathOf(this, record, why));
      this.records.clear();
      this.glue = undefined;
    });
  }
}

function deathOf(life, record, why) {
  if (life.call !== 0 && record.call === life.call) return failure("panicked", why);
  return failure("interrupted", "another call in this isolate broke its wasm instance");
}

function currentLife() {
  if (life !== undefined && !life.dead) return life;
  try {
    return (life = new Life());
  } catch (cause) {
    throw failure("panicked", `the wasm instance does not start: ${cause?.cause ?? cause}`);
  }
}

// The exception of a trap outside of any export, such as a stack overflow in a timer, arrives here.
addEventListener("error", (event) => {
  if (life?.dead) life.cause ??= event.error;
});

// Timers and promises of a dead instance fire into nothing, and say so.
addEventListener("unhandledrejection", (event) => {
  if (/Module terminated/.test(event.reason?.message)) event.preventDefault();
});

/** An error as it travels: its own properties are the data, and its stack stays home. */
function failure(code, message, path, data) {
  const error = new Error(message);
  error.name = code === "method_error" ? "MethodError" : "RpcError";
  error.code = code;
  if (path !== undefined) error.path = path;
  if (data !== undefined) error.data = data;
  error.stack = `${error.name}: ${message}`;
  return error;
}

/** What the wasm calls. What depends on the instance comes first. */
function hostOf(life) {
  return {
    settle(record, value) {
      life.records.delete(record);
      record.resolve(value);
    },
    fail(record, code, message, path, data) {
      life.records.delete(record);
      record.reject(failure(code, message, path, data));
    },
    panicked(call, message) {
      life.call ||= call;
      life.text ??= message;
    },
    aborted(call) {
      life.die(call);
    },
    queueMicrotask(task) {
      RESOLVED.then(() => {
        try {
          task();
        } catch (cause) {
          // A trap outside of any export: the abort handler knows whose it was, but not what it was.
          life.die(0, cause);
        }
      });
    },
    // A dead instance is not asked to free anything.
    FinalizationRegistry: class extends FinalizationRegistry {
      constructor(free) {
        super((held) => {
          if (!life.dead) free(held);
        });
      }
    },
    wait(promise, number) {
      const settled = (fulfilled) => (value) => {
        if (!life.dead) life.glue.realgarSettled(number, fulfilled, value);
      };
      promise.then(settled(true), settled(false));
    },
    waitUntil(context) {
      let tracked;
      const done = life.track((record) => (tracked = record), 0);
      try {
        // Who caused the death is told; here it only has to end.
        context.waitUntil(done.catch(() => {}));
      } catch (error) {
        console.error(`Realgar: waitUntil failed: ${error?.message ?? error}`);
      }
      return tracked;
    },
    transaction: (state, call, run) =>
      state.storage.transaction(async (transaction) => {
        const commit = await guarded(life, () => life.track((record) => run(record, call, transaction), call));
        if (!commit) transaction.rollback();
      }),
    ...host,
  };
}

const RESOLVED = Promise.resolve();
const ROLLED_BACK = Symbol("rolled back");

const host = {
  binding: (name) => env[name],
  invoke: (target, method, args) => target[method](...args),
  invoke0: (target, method) => target[method](),
  invoke1: (target, method, argument) => target[method](argument),
  invoke2: (target, method, first, second) => target[method](first, second),
  get: (target, name) => target[name],
  define(target, name, value) {
    if (name !== "__proto__") target[name] = value;
    else Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
  },
  entries: (target) => (target instanceof Map ? [...target] : Object.entries(target)).flat(),
  kind,
  bytes: (value) =>
    value instanceof ArrayBuffer
      ? new Uint8Array(value)
      : new Uint8Array(value.buffer, value.byteOffset, value.byteLength),
  wellFormed: (value) => value.isWellFormed(),
  display(value) {
    try {
      return String(value);
    } catch {
      return `[${typeof value}]`;
    }
  },
  sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
  transactionSync(storage, run) {
    try {
      storage.transactionSync(() => {
        if (!run()) throw ROLLED_BACK;
      });
    } catch (error) {
      if (error !== ROLLED_BACK) throw error;
    }
  },
};

/** What a value is, in the order of `Kind` in `framework/src/codec/decode.rs`. */
function kind(value) {
  switch (typeof value) {
    case "undefined": return 0;
    case "boolean": return 1;
    case "number": return 2;
    case "string": return 3;
    case "bigint": return 4;
    case "object": break;
    default: return 11;
  }
  if (value === null) return 0;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return 5;
  if (Array.isArray(value)) return 6;
  if (value instanceof Map) return 7;
  if (value instanceof Set) return 8;
  if (value instanceof Date) return 9;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || value instanceof Error ? 10 : 11;
}

/**
 * Awaits `section()` behind a closed input gate. A rejection that another object's event causes does not get through that
 * gate, so a timer that starts here, inside, looks whether the instance lives.
 */
async function guarded(life, section) {
  let timer;
  const death = new Promise((_, reject) => {
    timer = setInterval(() => {
      if (life.dead) reject(failure("interrupted", "another call in this isolate broke its wasm instance"));
    }, WATCH_INTERVAL_MS);
  });
  try {
    return await Promise.race([section(), death]);
  } finally {
    clearInterval(timer);
  }
}

/** The object behind an exported class: it starts, and starts again after its wasm instance died. */
export class Shell {
  #index;
  #ctx;
  #life;
  #handle;
  #starting;
  #failed;

  constructor(index, ctx) {
    this.#index = index;
    this.#ctx = ctx;
    // The event that woke the object gets the failure, if there is one; the next one tries again.
    this.#start().catch((error) => (this.#failed = error));
  }

  /** Runs Phase 2 behind the closed input gate. Never rejects the gate itself: that would reset the object. */
  #start() {
    if (this.#starting === undefined) {
      let failed;
      const started = this.#ctx.blockConcurrencyWhile(async () => {
        try {
          await this.#instantiate();
        } catch (error) {
          failed = error;
        }
      });
      this.#starting = started.then(() => {
        this.#starting = undefined;
        if (failed !== undefined) throw failed;
      });
    }
    return this.#starting;
  }

  async #instantiate() {
    for (let attempt = 1; ; attempt++) {
      const life = currentLife();
      const start = (record, call) => life.glue.realgarObject(record, call, this.#index, this.#ctx);
      try {
        this.#handle = await guarded(life, () => life.track(start));
        this.#life = life;
        return;
      } catch (error) {
        if (error.code !== "interrupted" || attempt === START_ATTEMPTS) throw error;
      }
    }
  }

  call(method, args) {
    if (this.#handle === undefined || this.#life.dead || this.#starting !== undefined) {
      return this.#ready().then(() => this.call(method, args));
    }
    return this.#life.track((record, call) => this.#handle.call(record, call, method, args));
  }

  fetch(request) {
    if (this.#handle === undefined || this.#life.dead || this.#starting !== undefined) {
      return this.#ready().then(() => this.fetch(request));
    }
    return this.#life.track((record, call) => this.#handle.fetch(record, call, request));
  }

  #ready() {
    if (this.#failed !== undefined) {
      const failed = this.#failed;
      this.#failed = undefined;
      return Promise.reject(failed);
    }
    return this.#start();
  }
}

/** The Worker's HTTP handler. The public gets to know no more of a failure than its kind. */
export async function fetch(request, ctx) {
  try {
    const life = currentLife();
    return await life.track((record, call) => life.glue.realgarFetch(record, call, request, ctx));
  } catch (error) {
    console.error(`Realgar: ${request.method} ${request.url} failed: ${error.message}`);
    return new Response("Internal Server Error", { status: 500, headers: { "realgar-error": error.code ?? "remote" } });
  }
}
