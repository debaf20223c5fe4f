// The administration Worker of the local edge: it does to objects, on demand, what the platform does. It is never part of a
// deployment.
//
// POST /evict?class=SCRIPT/CLASS&name=NAME (or &id=ID) &webSockets=hibernate|close: evicts an object
// POST /evict-all: evicts all objects
// POST /scheduled?script=NAME&cron=EXPRESSION&time=MILLISECONDS: fires a cron trigger, and answers with the outcome
// POST /clock?advance=MILLISECONDS: advances the clocks of the simulators
// POST /call?class=..&name=..&method=NAME with a list of arguments: calls a method; answers with {"ok"} or {"error"}
// POST /alarm?class=..&name=..&now=MILLISECONDS: delivers the alarm of an object
// POST /lose-alarm?class=..&name=..: deletes the alarm of an object
// POST /advance?from=MILLISECONDS&to=MILLISECONDS with {"SCRIPT/CLASS": [ID, …]}: runs, in order, what falls due in these objects
// and in those that they start
// POST /query?database=ID with [{"sql", "params"}, …]: runs statements of SQL, all or none, and answers with a result for each
// POST /kv?namespace=ID&method=METHOD with the path in `x-path`: makes a call of the simulator of KV
// POST /migrate?database=NAME with [{"name", "sql"}, …]: runs the migrations that have not run yet

import unsafe from "workerd:unsafe";

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    // Pages of a browser and other users of the machine reach this address too; they do not know the secret.
    if (!isKnown(request.headers.get("x-realgar-secret"), env.SECRET)) return new Response(null, { status: 403 });
    try {
      if (pathname === "/evict") {
        await unsafe.evict(stub(env, searchParams), { webSockets: searchParams.get("webSockets") ?? "hibernate" });
      } else if (pathname === "/evict-all") {
        await unsafe.evictAllDurableObjects();
      } else if (pathname === "/scheduled") {
        const event = { cron: searchParams.get("cron"), scheduledTime: new Date(Number(searchParams.get("time"))) };
        return Response.json(await env[`script:${searchParams.get("script")}`].scheduled(event));
      } else if (pathname === "/clock") {
        const clocks = Object.entries(env).filter(([name]) => name.startsWith("clock:"));
        const advance = `http://clock/clock?advance=${searchParams.get("advance")}`;
        await Promise.all(clocks.map(([, clock]) => clock.fetch(advance, { method: "POST" })));
        // A queue reads the clock only when it is called.
        const queues = Object.entries(env).filter(([name]) => name.startsWith("queue:"));
        await Promise.all(queues.map(([, queue]) => queue.fetch("http://queue/metrics")));
      } else if (pathname === "/call") {
        return Response.json(await call(stub(env, searchParams), searchParams.get("method"), await request.json()));
      } else if (pathname === "/alarm") {
        await stub(env, searchParams).__realgarTestAlarm(Number(searchParams.get("now")));
      } else if (pathname === "/lose-alarm") {
        await stub(env, searchParams).__realgarTestLoseAlarm();
      } else if (pathname === "/advance") {
        await advance(env, Number(searchParams.get("from")), Number(searchParams.get("to")), await request.json());
      } else if (pathname === "/query") {
        return Response.json(await query(env["realgar:databases"].getByName(searchParams.get("database")), await request.json()));
      } else if (pathname === "/kv") {
        return await kv(env[`kv:${searchParams.get("namespace")}`], searchParams.get("method"), request);
      } else if (pathname === "/migrate") {
        return Response.json(await migrate(env[`d1:${searchParams.get("database")}`], await request.json()));
      } else {
        return new Response("no such command", { status: 404 });
      }
      return new Response("done");
    } catch (error) {
      return new Response(String(error?.message ?? error), { status: 409 });
    }
  },
};

/** The comparison takes as long for a value that is almost right as for any other. */
function isKnown(sent, secret) {
  const [one, other] = [sent ?? "", secret].map((text) => new TextEncoder().encode(text));
  return one.byteLength === other.byteLength && crypto.subtle.timingSafeEqual(one, other);
}

function stub(env, params) {
  const namespace = env[params.get("class")];
  if (namespace === undefined) {
    const classes = Object.keys(env).filter((name) => name.includes("/"));
    throw new Error(`there is no class ${params.get("class")}; there are ${classes.join(", ")}`);
  }
  const id = params.get("id");
  return id === null ? namespace.getByName(params.get("name")) : namespace.get(namespace.idFromString(id));
}

async function call(object, method, args) {
  try {
    return { ok: plain(await object[method](...args)) };
  } catch (error) {
    const { code, message = String(error), data } = error ?? {};
    return { error: { code: code ?? "", message, data: plain(data) } };
  }
}

/** Converts values for which JSON has no form to the nearest form. */
function plain(value) {
  if (value instanceof ReadableStream) throw new Error("it returned a stream; read it through a Worker");
  const nearest = (_, value) => {
    if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : `${value}`;
    if (ArrayBuffer.isView(value)) return [...value];
    return value instanceof Map ? Object.fromEntries(value) : value;
  };
  return value === undefined ? null : JSON.parse(JSON.stringify(value, nearest));
}

/** How often alarms may fail at one point in time, and how often they may be delivered there at all. */
const FAILURES_MAX = 7;
const DELIVERIES_MAX = 10_000;

/** Lets time pass for the schedules of objects. The clock stops wherever one of the objects has something to do. */
async function advance(env, from, to, ids) {
  const next = new Map();
  const stubs = new Map();
  let now = from;
  const add = async (scriptClass, id) => {
    const key = `${scriptClass}/${id}`;
    if (stubs.has(key)) return;
    stubs.set(key, env[scriptClass].get(env[scriptClass].idFromString(id)));
    await look(key);
  };
  const look = async (key) => {
    const found = await stubs.get(key).__realgarTestNext(now);
    next.set(key, found.next);
    const script = key.split("/")[0];
    for (const [className, id] of found.started) await add(`${script}/${className}`, id);
  };
  const setClocks = () =>
    Promise.all(Object.entries(env).filter(([name]) => name.startsWith("time:")).map(([, time]) => time.set(now)));
  for (const [scriptClass, list] of Object.entries(ids)) for (const id of list) await add(scriptClass, id);
  let [failures, deliveries] = [0, 0];
  for (;;) {
    const [key, time] = [...next].filter(([, time]) => time !== null).sort(([, a], [, b]) => a - b)[0] ?? [];
    if (time === undefined || time > to) break;
    if (time > now) [now, failures, deliveries] = [time, 0, 0];
    deliveries += 1;
    if (deliveries > DELIVERIES_MAX) throw new Error(`the object ${key} has something to do again and again at ${now}`);
    await setClocks();
    try {
      await stubs.get(key).__realgarTestAlarm(now);
    } catch (error) {
      failures += 1;
      if (failures > FAILURES_MAX) throw error;
    }
    await look(key);
  }
  now = to;
  await setClocks();
}

/** Runs each file once, as wrangler does, and records it in wrangler's table in the same transaction. */
async function migrate(database, files) {
  await database
    .prepare(
      "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, " +
        "applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)",
    )
    .run();
  const { results } = await database.prepare("SELECT name FROM d1_migrations").all();
  const known = new Set(results.map(({ name }) => name));
  const applied = [];
  for (const { name, sql } of files) {
    if (known.has(name)) continue;
    try {
      await database.batch([database.prepare(sql), database.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name)]);
    } catch (error) {
      throw new Error(`the migration \`${name}\` failed: ${error.message}`);
    }
    applied.push(name);
  }
  return applied;
}

/** Runs statements on a database that no script need be bound to. */
async function query(database, statements) {
  const { results } = await database.run(statements, false);
  return results;
}

/** The simulator says in the text of the status what is wrong. */
async function kv(service, method, request) {
  const metadata = request.headers.get("cf-kv-metadata");
  const headers = metadata === null ? {} : { "CF-KV-Metadata": metadata };
  const body = method === "PUT" ? await request.arrayBuffer() : undefined;
  const answer = await service.fetch(`http://kv${request.headers.get("x-path")}`, { method, headers, body });
  const told = new Headers({ "x-reason": answer.statusText });
  const found = answer.headers.get("CF-KV-Metadata");
  if (found !== null) told.set("cf-kv-metadata", found);
  return new Response(answer.body, { status: answer.status, headers: told });
}
