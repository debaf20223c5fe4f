// The functions called by the wasm that depend on its instance. Each export makes the function for one `Life`. A release has only
// the exports that the program calls.

import { waitUntil as outlive } from "cloudflare:workers";
import { Ledger, Reader, sleep as sleepFor } from "./host.js";
import { contracts, deathOf, failure, guarded } from "./realgar.js";

export const stream = (life) => (producer, number, call, format) =>
  new ReadableStream(new Pump(life, producer, number, call, format), { highWaterMark: 0 });

export const streamReady = (life) => (number) => life.pumps.get(number)?.deref()?.notify();

export const sleep = (life) => (milliseconds) => {
  const sleeping = sleepFor(milliseconds);
  life.sleeping.add(sleeping);
  sleeping.then(() => life.sleeping.delete(sleeping));
  return sleeping;
};

export const reader = (life) => (stream) => new Reader(life.readers, stream);

export const read = (life) => (reader, number) => reader.read((fulfilled, value) => life.settled(number, fulfilled, value));

export const ledger = (life) => (sql, ...statements) => new Ledger(life.ledgers, sql, ...statements);

export const contract = () => (binding, method) => contracts.get(binding)?.get(method);

export const wait = (life) => (promise, number) => {
  promise.then(
    (value) => life.settled(number, true, value),
    (error) => life.settled(number, false, error),
  );
};

export const waitUntil = (life) => (context) => {
  let tracked;
  const done = life.track((record) => (tracked = record), 0);
  try {
    // The call that caused a death is told of it. Here the promise only has to end.
    context.waitUntil(done.catch(() => {}));
  } catch (error) {
    console.error(`Realgar: waitUntil failed: ${error?.message ?? error}`);
  }
  return tracked;
};

export const transaction = (life) => (state, call, run) =>
  state.storage.transaction(async (transaction) => {
    const commit = await guarded(life, () => life.track((record) => run(record, call, transaction), call));
    if (!commit) transaction.rollback();
  });

/** The formats of a stream, as in `framework/src/calls/stream/frame.rs`. */
const RAW = 0;
const LINES = 1;
/** How many turns of the microtask queue an item may take before what is there is sent without it. */
const FLUSH_PATIENCE = 3;
const UTF8 = /* @__PURE__ */ new TextEncoder();

/**
 * The source of a stream that wasm produces. It polls the producer synchronously, when the stream wants a chunk, so nothing is
 * produced ahead; and it never leaves the consumer waiting for an instance that died.
 */
class Pump {
  type = "bytes";
  call;
  #life;
  #producer;
  #number;
  #format;
  #opened = false;
  #started = false;
  #failure;
  #woken = false;
  #wake;
  #done;

  constructor(life, producer, number, call, format) {
    this.call = call;
    this.#life = life;
    this.#producer = producer;
    this.#number = number;
    this.#format = format;
  }

  /** Called at the first read. A stream that nobody reads is left to the garbage collector. */
  #open() {
    this.#opened = true;
    if (this.#life.dead) this.#failure ??= deathOf(this.#life, this);
    this.#life.pumps.set(this.#number, new WeakRef(this));
    // In a stateless Worker, nothing else would tell the stream that its consumer is gone.
    if (this.call % 2 === 1) outlive(new Promise((resolve) => (this.#done = resolve)));
  }

  notify() {
    this.#woken = true;
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  fail(failure) {
    this.#failure ??= failure;
    this.notify();
  }

  async pull(controller) {
    if (!this.#opened) this.#open();
    let flush = false;
    for (;;) {
      this.#woken = false;
      if (this.#failure === undefined && this.#producer === undefined) return;
      const chunk = this.#failure === undefined ? this.#next(flush) : undefined;
      if (this.#failure !== undefined) return this.#break(controller);
      if (chunk === null) {
        this.#end();
        return controller.close();
      }
      if (typeof chunk === "object") {
        this.#started = true;
        return controller.enqueue(chunk);
      }
      if (typeof chunk === "string") {
        this.#failure = failure("remote", chunk);
        return this.#break(controller);
      }
      if (chunk === false) {
        for (let turn = 0; turn < FLUSH_PATIENCE && !this.#woken; turn++) await null;
        flush = !this.#woken;
        continue;
      }
      flush = false;
      if (!this.#woken) await new Promise((resolve) => (this.#wake = resolve));
    }
  }

  #next(flush) {
    try {
      return this.#producer.pull(flush);
    } catch (cause) {
      this.#life.die(this.call, cause);
      const why = this.#life.text ?? String(cause?.cause ?? cause);
      this.#failure = deathOf(this.#life, this, why);
    }
  }

  /** The consumer gets what is queued, and then the failure: `controller.error` would lose both. */
  #break(controller) {
    this.#end();
    if (this.#format === RAW) return controller.error(this.#failure);
    controller.enqueue(failureFrame(this.#format, this.#started, this.#failure));
    controller.close();
  }

  cancel() {
    this.#end();
    this.notify();
  }

  #end() {
    this.#life.pumps.delete(this.#number);
    this.#done?.();
    const producer = this.#producer;
    this.#producer = undefined;
    if (producer !== undefined && !this.#life.dead) producer.free();
  }
}

/** A frame that says why a stream ends, as in `framework/src/calls/stream/frame.rs`. */
function failureFrame(format, started, { code, message }) {
  if (format === LINES) return UTF8.encode(`${JSON.stringify({ error: { code, message } })}\n`);
  const body = UTF8.encode(`${code}\0${message}`);
  const start = started ? 0 : 1;
  const frame = new Uint8Array(start + 4 + body.length);
  frame[0] = 1;
  new DataView(frame.buffer).setUint32(start, (body.length << 2) | 2, true);
  frame.set(body, start + 4);
  return frame;
}
