// The JavaScript side of the runtime: the life of a wasm instance, and the calls inside it.
//
// One wasm instance serves a whole isolate. If it traps, nothing that waits inside it will ever go on, and the runtime does not
// notice. So every call has a record out here. When the instance dies, the records are rejected, the next call gets a new instance,
// and objects start again from storage. The other side is in `framework/src/runtime/js.rs` and `framework/src/__private/exports.rs`.

import { instantiate } from "./glue.js";
import { clockIsFrozen, nextEvent } from "./host.js";
import { host, instance } from "./used.js";

/** How often a section behind a closed input gate looks whether its instance is still alive, in milliseconds. */
const WATCH_INTERVAL_MS = 25;
/** How often an object that starts is moved to a new instance because another object broke the old one. */
const START_ATTEMPTS = 5;

/**
 * The numbers of the last call of an object (even) and of the last event of the Worker (odd, because its streams end in another
 * way).
 */
let calls = 0;
let events = 1;
let life;
/** The instance that has died in this turn. */
let dying;
/** The contracts of its peers that this build knows: the hash of each method, by binding and method. */
export let contracts = new Map();

/** Sets the contracts of its peers that this build knows, from nested pairs. */
export function knows(peers) {
  contracts = new Map(peers.map(([binding, methods]) => [binding, new Map(methods)]));
}

/** The methods of a class, from pairs: a map from each name to its index and hash. */
export const contract = (methods) => new Map(methods);

/** One wasm instance and the calls inside it. */
class Life {
  dead = false;
  records = new Set();
  /**
   * The streams that this instance produces, by number. The references are weak, so that a stream which nobody holds can be
   * collected.
   */
  pumps = new Map();
  /** The objects in wasm, by their shells. They are kept here so that an idle shell does not keep the memory of a dead instance. */
  handles = new WeakMap();
  /** The timers of this instance that run. */
  sleeping = new Set();
  /** The readers of the streams that this instance reads. */
  readers = new Set();
  /** What is still to be written to the database about events: the ledger of the object for which a wake works in this turn. */
  ledgers = new Set();
  // What is known of the death: the call, the panic's text, the exception.
  call = 0;
  text = undefined;
  cause = undefined;
  /** Why it died, once that is known. */
  why = undefined;
  /** The shell of the object whose call broke it. It is not known if the work went on after its call had ended. */
  culprit = undefined;

  /** `whose` says to whom the instance belongs. It is a part of the message that calls get which another call interrupts. */
  constructor(whose) {
    this.whose = whose;
    this.glue = instantiate(hostOf(this));
    this.glue.realgarArm();
    this.glue.register();
  }

  /** A promise that `enter(record, call)` settles, now or later, or the death of this instance. `owner` is the shell of its object. */
  track(enter, call = (calls += 2), owner = undefined) {
    return new Promise((resolve, reject) => {
      const record = { call, owner, resolve, reject };
      this.records.add(record);
      try {
        enter(record, call);
      } catch (cause) {
        // A throw means that wasm frames were skipped, so the instance is in no known state.
        this.die(call, cause);
      }
    });
  }

  /** Tells wasm that the promise which it waits for under `number` is settled. */
  settled(number, fulfilled, value) {
    if (this.dead) return;
    try {
      this.glue.realgarSettled(number, fulfilled, value);
    } catch (cause) {
      // A trap: the abort handler knows whose it was, but not what it was.
      this.die(0, cause);
    }
  }

  /** Drops a call whose caller is gone: nothing that it waits for would ever be settled. */
  cancel(record, task) {
    if (this.dead || !this.records.delete(record)) return;
    try {
      this.glue.realgarCancel(record.call, task);
    } catch (cause) {
      this.die(record.call, cause);
    }
  }

  die(call, cause) {
    this.cause ??= cause;
    this.call ||= call;
    if (this.dead) return;
    this.dead = true;
    for (const record of this.records) if (record.call === this.call) this.culprit ??= record.owner;
    dying = this;
    this.writeLedgers();
    // In a microtask the frames of the dead instance are gone, and the exception of the trap has been reported.
    queueMicrotask(() => {
      dying = undefined;
      // The glue wraps an exception of an import in an error of its own.
      const why = (this.why = this.text ?? String(this.cause?.cause ?? this.cause ?? "the instance was aborted"));
      console.error(`Realgar: a wasm instance died: ${why}`);
      this.writeLedgers();
      for (const record of this.records) record.reject(deathOf(this, record, why));
      this.records.clear();
      for (const pump of this.pumps.values()) pump.deref()?.fail(deathOf(this, pump, why));
      for (const reader of this.readers) reader.cancel();
      this.stopTimers();
      this.glue = undefined;
      this.handles = undefined;
    });
  }

  /**
   * Why it died, if the object of `shell` may have been the reason. It was not if the call was another object's, or the Worker's,
   * whose numbers are odd.
   */
  deathBy(shell) {
    const another = this.call % 2 === 1 || (this.culprit !== undefined && this.culprit !== shell);
    return another ? undefined : this.why;
  }

  /**
   * Stores which event was tried, because the object has to know it when it starts again. The second attempt has room on the stack
   * for sure.
   */
  writeLedgers() {
    for (const ledger of this.ledgers) {
      try {
        ledger.write();
      } catch (error) {
        console.error(`Realgar: what a schedule did could not be stored: ${error?.message ?? error}`);
      }
    }
  }

  /**
   * Stops the timers that nobody waits for any more. `clearTimeout` finds only those of the object or event in which it is called.
   */
  stopTimers() {
    for (const { timer } of this.sleeping) clearTimeout(timer);
  }
}

export function deathOf(life, record, why = life.text ?? "the instance was aborted") {
  if (life.call !== 0 && record.call === life.call) return failure("panicked", why);
  return interrupted(life);
}

const interrupted = (life) => failure("interrupted", `another call ${life.whose} broke its wasm instance`);

function newLife(whose) {
  try {
    return new Life(whose);
  } catch (cause) {
    throw failure("panicked", `the wasm instance does not start: ${cause?.cause ?? cause}`);
  }
}

/** The instance of the Worker, and of the objects that have none of their own. */
function currentLife() {
  if (life === undefined || life.dead) life = newLife("in this isolate");
  return life;
}

// The exception of a trap outside of any export, such as a stack overflow in a timer, arrives here.
addEventListener("error", (event) => {
  if (dying !== undefined) dying.cause ??= event.error;
});

// Timers and promises of a dead instance still fire. They only reject with this message, and there is nothing left to do about it.
addEventListener("unhandledrejection", (event) => {
  if (/Module terminated/.test(event.reason?.message)) event.preventDefault();
});

/** An error as it crosses a call: its own properties are the data. Its stack is replaced, so that the real one stays here. */
export function failure(code, message, path, data) {
  const error = new Error(message);
  error.name = code === "method_error" ? "MethodError" : "RpcError";
  error.code = code;
  if (path !== undefined) error.path = path;
  if (data !== undefined) error.data = data;
  error.stack = `${error.name}: ${message}`;
  return error;
}

/** What the standard library says of what it does not have in a Worker, and what is there instead. */
const HINTS = [
  ["time not implemented on this platform", "use `realgar::now_ms()`"],
  ["can't sleep", "use `realgar::sleep(..).await`"],
  ["failed to spawn thread", "a Worker has no threads: use `wait_until`"],
];

/** The functions that the wasm of `life` calls. */
function hostOf(life) {
  const own = {
    ...host,
    settle(record, value) {
      if (life.dead) return;
      life.records.delete(record);
      record.resolve(value);
    },
    fail(record, code, message, path, data) {
      if (life.dead) return;
      life.records.delete(record);
      record.reject(failure(code, message, path, data));
    },
    panicked(call, message) {
      life.call ||= call;
      const [, hint] = HINTS.find(([text]) => message.includes(text)) ?? [];
      life.text ??= hint === undefined ? message : `${message} (${hint})`;
    },
    aborted(call) {
      life.die(call);
    },
    queueMicrotask(task) {
      RESOLVED.then(() => {
        try {
          task();
        } catch (cause) {
          // A trap, as in `settled`.
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
  };
  for (const [name, of] of Object.entries(instance)) own[name] = of(life);
  return own;
}

const RESOLVED = Promise.resolve();
/**
 * Awaits `section()` behind a closed input gate. A rejection that another object's event causes does not get through that
 * gate, so a timer that starts here, inside, looks whether the instance lives.
 */
export async function guarded(life, section) {
  let timer;
  const death = new Promise((_, reject) => {
    timer = setInterval(() => {
      if (life.dead) reject(interrupted(life));
    }, WATCH_INTERVAL_MS);
  });
  try {
    return await Promise.race([section(), death]);
  } finally {
    clearInterval(timer);
  }
}

/** The pause before an object with a schedule that did not start is tried again: the first one, and the longest one. */
const START_PAUSE_MS = 1_000;
const START_PAUSE_MAX_MS = 300_000;

/** Whether a test makes every event find a new instance of its object. */
const EVICT = globalThis.__realgarTestEvict === true;

/**
 * The response to a request, if it is one: the platform refuses a socket that the request does not ask for, and keeps the object's end of it
 * for ever.
 */
function upgraded(request, response) {
  const socket = response.webSocket;
  if (!socket || request.headers.get("upgrade")?.toLowerCase() === "websocket") return response;
  const reason = "the request asks for no WebSocket";
  socket.accept();
  socket.close(1002, reason);
  return new Response(reason, { status: 426 });
}

/** The object behind an exported class: it starts, and starts again after its wasm instance died. */
export class Shell {
  #index;
  #ctx;
  #isolated;
  #life;
  #starting;
  /** Whether the last attempt to start it failed. */
  #down = false;
  #failed;
  /** How many times in a row the alarm found an object that did not start. */
  #failures = 0;
  /** How many events are under way. They are counted only if a test has objects evicted between events. */
  #events = 0;

  /** If `isolated`, the object has a wasm instance of its own. */
  constructor(index, ctx, isolated = false) {
    this.#index = index;
    this.#ctx = ctx;
    // A test that stands in for the clock calls this function to learn when something runs next. It is set here and not at the top of the
    // module, so that a release of a Worker without objects does not have it.
    if (clockIsFrozen()) globalThis.__realgarTestClock.next = nextEvent;
    this.#isolated = isolated;
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
        this.#down = failed !== undefined;
        if (failed !== undefined) throw failed;
      });
    }
    return this.#starting;
  }

  async #instantiate() {
    // A timer that still runs would keep the object in memory.
    if (this.#life?.dead) this.#life.stopTimers();
    const death = this.#life?.deathBy(this);
    for (let attempt = 1; ; attempt++) {
      const life = this.#currentLife();
      const start = (record, call) => life.glue.realgarObject(record, call, this.#index, this.#ctx, death);
      try {
        const handle = await guarded(life, () => life.track(start, undefined, this));
        life.handles?.set(this, handle);
        this.#life = life;
        return;
      } catch (error) {
        if (error.code !== "interrupted" || attempt === START_ATTEMPTS) throw error;
      }
    }
  }

  #currentLife() {
    if (!this.#isolated) return currentLife();
    if (this.#life === undefined || this.#life.dead) this.#life = newLife("of this object");
    return this.#life;
  }

  call(method, args, bytes = false, remaining = Infinity, trace = undefined) {
    const handle = this.#handle();
    if (handle === undefined) {
      const since = Date.now();
      return this.#ready().then(() => {
        const left = remaining - (Date.now() - since);
        if (left <= 0) throw failure("deadline_exceeded", "the deadline passed while the object started");
        return this.call(method, args, bytes, left, trace);
      });
    }
    return this.#track((record, call) => handle.call(record, call, method, args, bytes, remaining, trace));
  }

  callRealgar(contract, ...call) {
    return checked(contract, call, (...args) => this.call(...args));
  }

  fetch(request) {
    const handle = this.#handle();
    if (handle === undefined) {
      return this.#ready().then(() => this.fetch(request));
    }
    return this.#track((record, call) => handle.fetch(record, call, request)).then((response) => upgraded(request, response));
  }

  /** Fails if the handler fails, so that the platform tries again. */
  async alarm(info) {
    try {
      await this.#enter((handle, record, call) => handle.alarm(record, call, info?.retryCount ?? 0, info?.scheduledTime));
      this.#failures = 0;
    } catch (error) {
      console.error(`Realgar: the alarm failed: ${error.message}`);
      if (!(await this.#goesOn())) throw error;
    }
  }

  /**
   * After an alarm failed: whether a schedule sees to what comes next. The platform would give up after six retries, and nobody would
   * wake the object again.
   */
  async #goesOn() {
    const died = this.#life?.dead;
    // As the object starts, it writes down what was tried, and sets the alarm.
    if (died) await this.#ready().catch(() => {});
    if (nextEvent(this.#ctx.storage.sql) === undefined) return false;
    if (died && this.#handle() !== undefined) {
      this.#failures = 0;
      return true;
    }
    // With a frozen clock it is the test that wakes the object.
    if (clockIsFrozen()) return false;
    if (this.#starting !== undefined) await this.#starting.catch(() => {});
    const time = Date.now() + Math.min(START_PAUSE_MS * 2 ** this.#failures, START_PAUSE_MAX_MS);
    this.#failures += 1;
    // An attempt to start that failed has set the alarm to the event that is due, which would call this again at once.
    const set = this.#down ? null : await this.#ctx.storage.getAlarm();
    if (set === null || set > time) await this.#ctx.storage.setAlarm(time);
    return true;
  }

  webSocketMessage(socket, message) {
    return this.#socket("message", (handle, record, call) => handle.socketMessage(record, call, socket, message));
  }

  async webSocketClose(socket, code, reason, clean) {
    await this.#socket("close", (handle, record, call) => handle.socketClose(record, call, socket, code, reason, clean));
    closed(socket, code, reason);
  }

  webSocketError(socket, error) {
    return this.#socket("error", (handle, record, call) => handle.socketError(record, call, socket, error));
  }

  /** Delivers an event of a socket. If it fails, only this event fails: the socket stays as it is. */
  async #socket(what, enter) {
    try {
      await this.#enter(enter);
    } catch (error) {
      console.error(`Realgar: the WebSocket event \`${what}\` failed: ${error.message}`);
    }
  }

  /** Calls `enter(handle, record, call)` once the object has started. */
  async #enter(enter) {
    for (;;) {
      const handle = this.#handle();
      if (handle !== undefined) return await this.#track((record, call) => enter(handle, record, call));
      await this.#ready();
    }
  }

  #track(enter) {
    return EVICT ? this.#trackAndEvict(enter) : this.#life.track(enter, undefined, this);
  }

  /** Makes the next event find a new instance of the object, unless another event is under way. */
  async #trackAndEvict(enter) {
    const life = this.#life;
    this.#events += 1;
    try {
      return await life.track(enter, undefined, this);
    } finally {
      this.#events -= 1;
      if (this.#events === 0 && this.#life === life && !life.dead) {
        life.handles.get(this)?.free();
        life.handles.delete(this);
      }
    }
  }

  /** The object in wasm, if it is there and not about to be replaced. */
  #handle() {
    if (this.#life === undefined || this.#life.dead || this.#starting !== undefined) return undefined;
    return this.#life.handles.get(this);
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

/** Codes that stand for a close without a code. They cannot be sent. */
const NO_CODE = [1005, 1006, 1015];

/**
 * Answers the close of a client, which waits for the answer. For sockets that may hibernate the runtime leaves this to their
 * object.
 */
export function closed(socket, code, reason) {
  try {
    if (NO_CODE.includes(code)) socket.close(1000);
    else socket.close(code, reason);
  } catch {
    try {
      // The code or the reason is one that can be received, but not sent.
      socket.close(1000);
    } catch {
      // The connection is gone, or the object has closed it.
    }
  }
}

/**
 * A call of a Rust caller: with the hash of a contract and the bytes of its arguments, which only the very same contract can
 * read; or with `null` and a list of them. Where the contract is another one, the caller is told so, and the method does not
 * run.
 */
function checked(contract, [method, hash, payload, remaining, trace], call) {
  const known = contract.get(method);
  // The types are checked first, because a value that wasm cannot take would look like a trap.
  const about = [
    typeof remaining === "number" ? remaining : Infinity,
    typeof trace === "string" && /^[0-9a-f]{32}$/.test(trace) ? trace : undefined,
  ];
  if (hash === null && known !== undefined && Array.isArray(payload)) return call(known[0], payload, false, ...about);
  if (typeof hash === "string" && known?.[1] === hash) return call(known[0], [payload], true, ...about);
  if (known === undefined) return Promise.reject(failure("unknown_method", "there is no method of that name"));
  return Promise.reject(failure("version_skew", "the method has another contract here"));
}

/** Calls a method of the Worker. `entrypoint` 0 is its default class; the named entrypoints follow. */
export function call(entrypoint, method, args, bytes = false, remaining = Infinity, trace = undefined) {
  try {
    const life = currentLife();
    return life.track((record, call) => life.glue.realgarCall(record, call, entrypoint, method, args, bytes, remaining, trace), (events += 2));
  } catch (error) {
    return Promise.reject(error);
  }
}

export function callRealgar(entrypoint, contract, ...args) {
  return checked(contract, args, (...args) => call(entrypoint, ...args));
}

/** Delivers an event of the Worker other than a request. It fails if the handler fails. */
export async function event(name, event, ctx) {
  const life = currentLife();
  const handle = name === "queue" ? life.glue.realgarQueue : life.glue.realgarScheduled;
  try {
    await life.track((record, call) => handle(record, call, event, ctx), (events += 2));
  } catch (error) {
    console.error(`Realgar: the event \`${name}\` failed: ${error.message}`);
    throw error;
  }
}

/** Handles an HTTP request to the Worker. Of a failure, the client learns only the kind. */
export async function fetch(entrypoint, request, ctx) {
  try {
    const life = currentLife();
    const enter = (record, call) => {
      const task = life.glue.realgarFetch(record, call, entrypoint, request, ctx);
      // Without the flag `enable_request_signal`, a request has no signal.
      if (task !== undefined) request.signal?.addEventListener("abort", () => life.cancel(record, task));
    };
    return await life.track(enter, (events += 2));
  } catch (error) {
    console.error(`Realgar: ${request.method} ${request.url} failed: ${error.message}`);
    return new Response("Internal Server Error", { status: 500, headers: { "realgar-error": error.code ?? "remote" } });
  }
}
