// The same with the schedule of Cloudflare's Agents SDK.

import { Agent, getAgentByName } from "agents";

export class Timers extends Agent {
  onStart() {
    this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS done (id TEXT, at INTEGER)");
  }

  async plan(count, at, prefix) {
    for (let number = 0; number < count; number++) {
      await this.schedule(new Date(at), "work", { id: `${prefix}${number}`, number });
    }
  }

  work({ id }) {
    this.ctx.storage.sql.exec("INSERT INTO done (id, at) VALUES (?, ?)", id, Date.now());
  }

  done() {
    const { count, last } = this.ctx.storage.sql.exec("SELECT count(*) AS count, max(at) AS last FROM done").one();
    return [count, last ?? 0];
  }

  /** When the first event ran after `time`; 0 if none did. */
  after(time) {
    return this.ctx.storage.sql.exec("SELECT coalesce(min(at), 0) AS at FROM done WHERE at > ?", time).one().at;
  }

  async clear() {
    this.ctx.storage.sql.exec("DELETE FROM cf_agents_jobs; DELETE FROM done");
  }
}

export default {
  async fetch(request, env) {
    const [, command, count, at, prefix] = new URL(request.url).pathname.split("/");
    const timers = await getAgentByName(env.Timers, "one");
    if (command === "schedule") await timers.plan(Number(count), Number(at), prefix);
    else if (command === "done") return Response.json(await timers.done());
    else if (command === "after") return Response.json(await timers.after(Number(count)));
    else await timers.clear();
    return new Response();
  },
};
