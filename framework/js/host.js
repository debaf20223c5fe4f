// The functions that the wasm calls and that need no instance of it, and what the runtime and a plain workers-rs program share.
// `framework/src/runtime/js.rs` is the other side.

import { env } from "cloudflare:workers";
// This module itself: `install` passes on what it exports.
import * as host from "./host.js";

/** How much of a stream is read at once, in bytes: a little more than a producer sends at once, whose last item may exceed its
 *  limit. A plain reader gets 4 KiB, at a fraction of the speed. */
const READ_SIZE_MAX = 260 << 10;
/** The size of the first read of a stream, in bytes. Reads grow with what arrives, as the chunks of a producer do. */
const READ_SIZE_MIN = 2 << 10;
const READ_GROWTH = 4;

const ROLLED_BACK = Symbol("rolled back");

// The wasm calls the functions below by these names. A release has only those that the program calls.

export const binding = (name) => env[name];

export const invokeRealgar = (target, ...call) => target.__realgar(...call);

export function log(level, line) {
  (console[level === "trace" ? "debug" : level] ?? console.log).call(console, line);
}

export function param(value) {
  params.push(value);
}

/** Runs a statement. It reads the cursor to its end, because the statement has not run to its end before. */
export function execute(sql, statement, count, low, high) {
  const cursor = exec(sql, statement, given(count), low, high);
  cursor.toArray();
  return cursor.rowsWritten;
}

/** Inserts an event. It is a function of its own because this is the statement that a schedule runs most. */
export function eventInsert(sql, statement, id, seq, due, payload) {
  sql.exec(statement, id, seq, due, payload);
}

export const clockIsFrozen = () => globalThis.__realgarTestClock !== undefined;

/** Sets the alarm. It is stored with what the object writes beside it, and no response leaves before that: nobody has to wait. */
export function setAlarm(storage, time) {
  storage.setAlarm(time).catch((error) => console.error(`Realgar: the alarm could not be set: ${error?.message ?? error}`));
}

export function numbers() {
  const last = packed;
  packed = [];
  return last;
}

export function broadcast(state, tag, except, message) {
  let count = 0;
  for (const socket of sockets(state, tag)) {
    if (socket === except) continue;
    try {
      socket.send(message);
      count += 1;
    } catch {
      // Its connection is gone; the others get the message all the same.
    }
  }
  return count;
}

export const autoResponse = (request, response) => new WebSocketRequestResponsePair(request, response);

export function fixedLength(stream, length) {
  const { readable, writable } = new FixedLengthStream(length);
  // Whoever reads `readable` sees the failure.
  stream.pipeTo(writable).catch(() => {});
  return readable;
}

export const queryParam = (request, name) => new URL(request.url).searchParams.get(name);

export const cancel = (reader) => reader.cancel();

export function discard(value) {
  const stream = value instanceof Response ? value.body : value;
  // The cancellation fails if the stream was sent away already.
  if (stream instanceof ReadableStream) stream.cancel().catch(() => {});
}

export const invoke = (target, method, args) => target[method](...args);
export const invoke0 = (target, method) => target[method]();
export const invoke1 = (target, method, argument) => target[method](argument);
export const invoke2 = (target, method, first, second) => target[method](first, second);

export const get = (target, name) => target[name];

export function define(target, name, value) {
  if (name !== "__proto__") target[name] = value;
  else Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
}

export function fields(target, names) {
  if (Object.keys(target).length !== names.length) return undefined;
  return names.every((name) => Object.hasOwn(target, name)) ? names.map((name) => target[name]) : undefined;
}

export const entries = (target) => (target[Symbol.iterator] === undefined ? Object.entries(target) : [...target]).flat();

export const bytes = (value) =>
  value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);

export const wellFormed = (value) => value.isWellFormed();

export function display(value) {
  try {
    return String(value);
  } catch {
    return `[${typeof value}]`;
  }
}

export function sleep(milliseconds) {
  let parts;
  const promise = new Promise((resolve) => (parts = { resolve, timer: setTimeout(resolve, milliseconds) }));
  return Object.assign(promise, parts);
}

/** Stops a timer. Whoever waits for its promise is told, so that the number of the promise is free again. */
export function stopSleep({ timer, resolve }) {
  clearTimeout(timer);
  resolve();
}

export function transactionSync(storage, run) {
  try {
    storage.transactionSync(() => {
      if (!run()) throw ROLLED_BACK;
    });
  } catch (error) {
    if (error !== ROLLED_BACK) throw error;
  }
}

/** The parameters of the statement that is run next. */
let params = [];

/** Takes the last `count` parameters. There may be more, of an instance that died before it ran a statement. */
function given(count) {
  const last = params.length === count ? params : params.slice(params.length - count);
  params = [];
  return last;
}

/** The columns and rows of a query: packed as text, or as a list of lists if there are values that the text cannot hold. */
export function query(sql, statement, count, low, high) {
  const params = given(count);
  const cursor = exec(sql, statement, params, low, high);
  const columns = cursor.columnNames;
  const rows = cursor.raw().toArray();
  const values = pack(rows);
  if (values !== undefined && !columns.some((name) => name.includes("\0"))) {
    return [`${columns.length} ${packed.length}`, ...columns, values].join("\0");
  }
  const table = [columns, ...rows];
  const rounded = new Set();
  for (const row of rows) row.forEach((value, column) => isRounded(value) && rounded.add(column));
  return rounded.size > 0 ? exactly((statement) => exec(sql, statement, params, low, high), statement, table, rounded) : table;
}

/** Whether a value may be an integer that the runtime has rounded: the runtime hands all numbers out as floats. */
const isRounded = (value) => typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);

/**
 * Reads a table again, with large integers as they are stored, by a query around the query. A statement that writes cannot stand
 * in another query, so its table is returned as it is.
 */
function exactly(run, statement, table, rounded) {
  const names = table[0].map((_, index) => `c${index}`);
  // A prefix tells an integer from a text.
  const columns = names.map((name, index) =>
    rounded.has(index) ? `CASE typeof(${name}) WHEN 'integer' THEN 'i' || ${name} WHEN 'text' THEN 't' || ${name} ELSE ${name} END` : name,
  );
  const value = (cell, index) => {
    if (!rounded.has(index) || typeof cell !== "string") return cell;
    if (cell[0] === "t") return cell.slice(1);
    const number = Number(cell.slice(1));
    return isRounded(number) ? BigInt(cell.slice(1)) : number;
  };
  try {
    const outer = `WITH __realgar(${names}) AS (${bare(statement)}) SELECT ${columns} FROM __realgar`;
    const rows = run(outer).raw().toArray();
    return [table[0], ...rows.map((row) => row.map(value))];
  } catch {
    return table;
  }
}

/**
 * Runs a statement. The runtime takes numbers as floats only, so a `CAST` is put around each parameter that is an integer. Such a
 * parameter comes as a number or, if it is large, as text. The bits of `low`, and from index 50 on of `high`, say which they are.
 */
function exec(sql, statement, params, low, high) {
  return sql.exec(low === 0 && high === 0 ? alone(statement) : casting(statement, low, high), ...params);
}

/** A statement without a comment at its end: the runtime takes a comment behind a semicolon for another statement. */
const alone = (statement) => (/--|\/\*/.test(statement) ? bare(statement) : statement);

/** The same casts for D1, which also takes numbers as floats only. */
export const casted = (statement, low, high) => (low === 0 && high === 0 ? statement : casting(statement, low, high));

/** How many forms of a statement are kept. */
const FORMS_MAX = 32;
/** Statements with casts, by the statement and the parameters. */
const forms = new Map();

function casting(statement, low, high) {
  let known = forms.get(statement);
  if (known === undefined) forms.set(statement, (known = new Map()));
  const key = high === 0 ? low : `${low} ${high}`;
  let text = known.get(key);
  if (text === undefined) {
    // A parameter that is NULL in one call is an integer in another: there may be as many forms of a statement as calls.
    if (known.size === FORMS_MAX) known.clear();
    known.set(key, (text = withCasts(alone(statement), low, high)));
  }
  return text;
}

/** How many parameters have their bits in `low`; those after them have theirs in `high`. */
const HALF = 50;

/** Texts, quoted names, comments, words, and parameters of SQL. */
const TOKENS =
  /'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|\/\*[^]*?(?:\*\/|$)|\?\d*|[:@#$](?:[\w$\u0080-\uffff]|::)+(?:\([^)\s]*\))?|[\w$\u0080-\uffff]+|[^\s;]/g;

/** Puts the casts into a statement. Parameters are numbered as SQLite does. The `+` takes the affinity from the cast, by which a
 *  comparison would convert the other side. */
function withCasts(statement, low, high) {
  const isInteger = (index) => Math.floor(index < HALF ? low / 2 ** index : high / 2 ** (index - HALF)) % 2 === 1;
  const named = new Map();
  let last = 0;
  return statement.replace(TOKENS, (token) => {
    let number;
    if (token === "?") number = last + 1;
    else if (/^\?\d/.test(token)) number = Number(token.slice(1));
    else if (/^[:@#$]./.test(token)) number = named.get(token) ?? last + 1;
    else return token;
    named.set(token, number);
    last = Math.max(last, number);
    return isInteger(number - 1) ? `+CAST(${token} AS INTEGER)` : token;
  });
}

/** A statement without the semicolons and comments that may follow it. */
function bare(statement) {
  let end = 0;
  for (const { 0: token, index } of statement.matchAll(TOKENS)) {
    if (!/^(?:--|\/\*)/.test(token)) end = index + token.length;
  }
  return statement.slice(0, end);
}

/** The numbers of the rows that were packed last. */
let packed = [];

/** The values of rows, packed as `framework/src/codec/rows.rs` reads them; `undefined` if a value has no such form. */
function pack(rows) {
  let text = "";
  packed = [];
  for (const row of rows) {
    const values = packRow(row, row.length);
    if (values === undefined) return undefined;
    text += values;
  }
  return text;
}

/** The first `count` values of a row, packed. */
function packRow(row, count) {
  let text = "";
  for (let column = 0; column < count; column++) {
    const value = row[column];
    if (value === null) text += "n";
    else if (typeof value === "string") {
      if (value.includes("\0")) return undefined;
      text += `s${value}\0`;
    } else if (typeof value !== "number" || isRounded(value)) return undefined;
    else {
      packed.push(value);
      text += "d";
    }
  }
  return text;
}

const zones = new Map();
const MINUTE_MS = 60_000;

/** How many milliseconds the clocks of a time zone are ahead of UTC. */
export function zoneOffset(zone, time) {
  let format = zones.get(zone);
  if (format === undefined) {
    const number = "numeric";
    const fields = { year: number, month: number, day: number, hour: number, minute: number, second: number };
    format = new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", ...fields });
    zones.set(zone, format);
  }
  const shown = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]));
  const wall = Date.UTC(shown.year, shown.month - 1, shown.day, shown.hour, shown.minute);
  return wall - Math.floor(time / MINUTE_MS) * MINUTE_MS;
}

/** The open WebSockets of an object. The runtime's list has those that are closing too. */
export function sockets(state, tag) {
  const all = tag === undefined ? state.getWebSockets() : state.getWebSockets(tag);
  return all.filter((socket) => socket.readyState === WebSocket.READY_STATE_OPEN);
}

/** The types that hold bytes and nothing else. */
const BYTES = [Uint8Array, Uint8ClampedArray, DataView];

/** The kind of a value, as a number in the order of `Kind` in `framework/src/codec/decode.rs`. */
export function kind(value) {
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
  if (Array.isArray(value)) return 6;
  // The elements of other typed arrays are numbers, and not their bytes.
  if (ArrayBuffer.isView(value)) return BYTES.some((type) => value instanceof type) ? 5 : 6;
  if (value instanceof ArrayBuffer) return 5;
  if (value instanceof Map) return 7;
  if (value instanceof Set) return 8;
  if (value instanceof Date) return 9;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || value instanceof Error ? 10 : 11;
}

/** When the schedule next has something to begin in this database: `undefined` without a schedule, `null` if it is empty. */
export function nextEvent(sql) {
  if (sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'realgar_events'").toArray().length === 0) return undefined;
  return sql.exec("SELECT min(next_at) AS next FROM realgar_events WHERE started_at IS NULL").one().next;
}

/** The index of the column that holds, as JSON, the columns that few events have. */
const REST = 3;

/**
 * What a wake of an object has done with its events in this turn and has not told the database yet: which event it tries, and
 * which are done. It is kept in JavaScript, because the database has to be told even if the wasm instance dies meanwhile.
 */
export class Ledger {
  #ledgers;
  #sql;
  #read;
  #try;
  #remove;
  #rows = [];
  #tried;
  #triedAt;
  #done = [];

  /** `ledgers` has this ledger while there is something to write. The statements are in `framework/src/scheduler/queue.rs`. */
  constructor(ledgers, sql, read, tryOne, removeAll) {
    this.#ledgers = ledgers;
    this.#sql = sql;
    this.#read = read;
    this.#try = tryOne;
    this.#remove = removeAll;
  }

  /** The first events that are due at `time`. A row begins with the id of the event and its number, and ends with its payload. */
  read(time, limit) {
    this.#rows = this.#sql.exec(this.#read, time, limit).raw().toArray();
    let text = "";
    packed = [];
    for (const row of this.#rows) {
      if (row[REST] === null) {
        // As `packRow` would.
        packed.push(row[1], row[2]);
        text += `s${row[0]}\0ddn`;
        continue;
      }
      row.splice(REST, 1, ...JSON.parse(row[REST]));
      const values = packRow(row, row.length - 1);
      if (values === undefined) throw new Error("the schedule holds what nobody wrote");
      text += values;
    }
    return text;
  }

  /** Notes that the event at `index` of the last read is tried. Returns its payload; nothing if it was not read, or is no JSON. */
  try(index, time) {
    this.#ledgers.add(this);
    this.#tried = this.#rows[index];
    this.#triedAt = time;
    try {
      return JSON.parse(this.#tried.at(-1) ?? "");
    } catch {
      return undefined;
    }
  }

  /** Notes that the event that was tried has ended: it is `done`, or the database was told its outcome in another way. */
  end(done) {
    if (done) this.#done.push(this.#tried[0]);
    this.#tried = undefined;
  }

  knows(id) {
    return this.#tried?.[0] === id || this.#done.includes(id);
  }

  write() {
    if (this.#done.length > 0) {
      this.#sql.exec(this.#remove, JSON.stringify(this.#done));
      this.#done = [];
    }
    if (this.#tried !== undefined) {
      this.#sql.exec(this.#try, this.#tried[0], this.#tried[1], this.#triedAt);
      this.#tried = undefined;
    }
    this.#ledgers.delete(this);
  }
}

/** The reader of a stream of bytes, which hands out one chunk at a time. */
export class Reader {
  #readers;
  #reader;
  #buffer = new ArrayBuffer(READ_SIZE_MIN);

  /** `readers` has this reader until it is cancelled. */
  constructor(readers, stream) {
    if (!(stream instanceof ReadableStream)) throw new TypeError("expected a stream");
    this.#readers = readers;
    this.#reader = stream.getReader({ mode: "byob" });
    readers.add(this);
  }

  /** Calls `settled(fulfilled, value)` with the next chunk, which is valid until the next read; with `undefined` at the end. */
  read(settled) {
    this.#reader.read(new Uint8Array(this.#buffer)).then(
      ({ done, value }) => {
        const size = value?.buffer.byteLength;
        const full = size === value?.byteLength && size < READ_SIZE_MAX;
        this.#buffer = full ? new ArrayBuffer(Math.min(size * READ_GROWTH, READ_SIZE_MAX)) : value?.buffer;
        settled(true, done ? undefined : value);
      },
      (error) => settled(false, error),
    );
  }

  cancel() {
    this.#readers.delete(this);
    this.#reader.cancel().catch(() => {});
  }
}

/**
 * Offers the wasm of a plain workers-rs Worker what it needs to call others. Such a Worker has one instance, which Realgar does not
 * replace when it dies. `settled(number, fulfilled, value)` says that a promise for which the wasm waits is settled.
 */
export function install(settled) {
  const readers = new Set();
  globalThis.__realgar ??= {
    ...host,
    contract: () => undefined,
    reader: (stream) => new Reader(readers, stream),
    read: (reader, number) => reader.read((fulfilled, value) => settled(number, fulfilled, value)),
    wait(promise, number) {
      promise.then(
        (value) => settled(number, true, value),
        (error) => settled(number, false, error),
      );
    },
  };
}
