// A plain JavaScript Worker that calls what a test tells it to, and tells what came back.
//
// POST / with [{"class", "name", "method", "args", "delay"?, "take"?}, …]: the calls run side by side, each after its delay. JSON has no
// BigInt, bytes and so on; `{"$": kind, "value": …}` stands for them, both ways.
//
// GET /abandon: a request to the kitchen whose client goes away while its handler waits.

import { DurableObject } from "cloudflare:workers";

/** An object that fails as the platform does. */
export class FlakyObject extends DurableObject {
  calls = 0;

  price(times, flag) {
    this.calls += 1;
    if (this.calls <= times) throw Object.assign(new Error("on its way"), { [flag]: true });
    return this.calls;
  }

  order(times, flag) {
    return this.price(times, flag);
  }

  swap([text, bytes]) {
    return [bytes, text];
  }

  async lines(stream) {
    return (await new Response(stream).text()).split("\n").length - 1;
  }
}

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname === "/abandon") return abandon(env);
    const calls = await request.json();
    const results = await Promise.all(calls.map((call) => run(env, call)));
    return Response.json(results);
  },
};

/** How long a call may take, in milliseconds: less than the test waits for all of them, so that it learns which one hangs. */
const PATIENCE = 30_000;

async function run(env, { class: name, name: object, method, args, delay, take }) {
  if (delay) await sleep(delay);
  const started = Date.now();
  const made = async () => {
    const stub = env[name].getByName(object);
    const result = await stub[method](...args.map(decode));
    return result instanceof ReadableStream ? await read(result, take) : encode(result);
  };
  const hangs = async () => {
    await sleep(PATIENCE);
    throw new Error("no answer");
  };
  try {
    const ok = await Promise.race([made(), hangs()]);
    return { ok, ms: Date.now() - started };
  } catch (error) {
    const { name, message, code, path, data, stack } = error;
    return { error: { name, message, code, path, data: encode(data), stack }, ms: Date.now() - started };
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function abandon(env) {
  const belt = env.Belt.getByName("rust");
  const begun = async () => (await belt.counts())[0];
  const before = await begun();
  const client = new AbortController();
  const answer = env.KITCHEN.fetch("http://kitchen/streams/waiting", client);
  while ((await begun()) === before);
  client.abort();
  return new Response(await answer.then(() => "answered", (error) => error.name));
}

/** The lines of a stream, up to `take` of them; then it is cancelled. */
async function read(stream, take = Infinity) {
  const lines = [];
  let text = "";
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const parts = (text + decoder.decode(value, { stream: true })).split("\n");
    text = parts.pop();
    lines.push(...parts.map((line) => JSON.parse(line)));
    if (lines.length >= take) {
      await reader.cancel();
      break;
    }
  }
  return { lines, rest: text };
}

function decode(value) {
  if (Array.isArray(value)) return value.map(decode);
  if (value === null || typeof value !== "object") return value;
  switch (value.$) {
    case undefined: return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, decode(inner)]));
    case "bigint": return BigInt(value.value);
    case "bytes": return new Uint8Array(value.value);
    case "undefined": return undefined;
    case "number": return Number(value.value);
    case "map": return new Map(decode(value.value));
    case "set": return new Set(decode(value.value));
    case "date": return new Date(value.value);
    case "surrogate": return "\ud800";
    case "cycle": {
      const cycle = { text: "around" };
      cycle.cycle = cycle;
      return cycle;
    }
    case "deep": {
      let deep = [];
      for (let i = 0; i < value.value; i++) deep = [deep];
      return deep;
    }
    case "stream": return new Blob(value.value).stream();
    case "function": return () => {};
  }
}

/** Beyond 100 levels it is told that there are more: a reader of JSON gives up at 128. */
function encode(value, depth = 0) {
  if (depth > 100) return { $: "deep" };
  const inside = (inner) => encode(inner, depth + 1);
  if (value === undefined) return { $: "undefined" };
  if (typeof value === "bigint") return { $: "bigint", value: String(value) };
  if (value instanceof Uint8Array) return { $: "bytes", value: [...value] };
  if (value instanceof Map) return { $: "map", value: [...value].map(inside) };
  if (Array.isArray(value)) return value.map(inside);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, inside(inner)]));
  }
  return value;
}
