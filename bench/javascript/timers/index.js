// What somebody would write by hand: many events over one alarm, each forgotten after its handler ran. No retries, no history.

import { DurableObject } from "cloudflare:workers";

export class Timers extends DurableObject {
  #armed = null;

  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec(
      "CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, run_at INTEGER NOT NULL, payload TEXT NOT NULL); " +
        "CREATE INDEX IF NOT EXISTS events_run_at ON events (run_at); " +
        "CREATE TABLE IF NOT EXISTS done (id TEXT, at INTEGER)",
    );
  }

  #set(id, at, payload) {
    this.sql.exec("INSERT OR REPLACE INTO events (id, run_at, payload) VALUES (?, ?, ?)", id, at, JSON.stringify(payload));
    if (this.#armed === null || at < this.#armed) {
      this.#armed = at;
      this.ctx.storage.setAlarm(at);
    }
  }

  schedule(count, at, prefix) {
    for (let number = 0; number < count; number++) this.#set(`${prefix}${number}`, at, { number });
  }

  done() {
    const { count, last } = this.sql.exec("SELECT count(*) AS count, max(at) AS last FROM done").one();
    return [count, last ?? 0];
  }

  /** When the first event ran after `time`; 0 if none did. */
  after(time) {
    return this.sql.exec("SELECT coalesce(min(at), 0) AS at FROM done WHERE at > ?", time).one().at;
  }

  clear() {
    this.sql.exec("DELETE FROM events; DELETE FROM done");
  }

  event(id, payload) {
    this.sql.exec("INSERT INTO done (id, at) VALUES (?, ?)", id, Date.now());
  }

  async alarm() {
    for (;;) {
      const due = this.sql.exec("SELECT id, payload FROM events WHERE run_at <= ? ORDER BY run_at LIMIT 100", Date.now()).toArray();
      if (due.length === 0) break;
      for (const { id, payload } of due) {
        await this.event(id, JSON.parse(payload));
        this.sql.exec("DELETE FROM events WHERE id = ?", id);
      }
    }
    const { next } = this.sql.exec("SELECT min(run_at) AS next FROM events").one();
    this.#armed = next;
    if (next !== null) this.ctx.storage.setAlarm(next);
  }
}

export default {
  async fetch(request, env) {
    const [, command, count, at, prefix] = new URL(request.url).pathname.split("/");
    const timers = env.Timers.getByName("one");
    if (command === "schedule") await timers.schedule(Number(count), Number(at), prefix);
    else if (command === "done") return Response.json(await timers.done());
    else if (command === "after") return Response.json(await timers.after(Number(count)));
    else await timers.clear();
    return new Response();
  },
};
