// This module is loaded before a script that a developer runs. It puts a label on each line of the log, with the Worker and the
// object that wrote it. It is never part of a deployment.

import { AsyncLocalStorage } from "node:async_hooks";

const SCRIPT = "REALGAR_SCRIPT";
/** The class and name of the object whose event is running. */
const current = new AsyncLocalStorage();

for (const level of ["debug", "error", "info", "log", "warn", "trace"]) {
  const real = console[level].bind(console);
  console[level] = (...args) => {
    const label = JSON.stringify([SCRIPT, ...(current.getStore() ?? [])]);
    // A string as the first argument may be a format for the values behind it, so it has to stay one: the label becomes part of it.
    if (typeof args[0] !== "string") real(`\u0001${label.replaceAll("%", "%%")}\u0002`, ...args);
    else if (args.length === 1) real(`\u0001${label}\u0001${args[0]}`);
    else real(`\u0001${label.replaceAll("%", "%%")}\u0001${args[0]}`, ...args.slice(1));
  };
}

/** Wraps a class, so that its events and methods know which object they run in. */
export function labelled(name, Base) {
  const of = (ctx) => [name, ctx.id.name ?? ctx.id.toString()];
  class Labelled extends Base {
    constructor(ctx, env) {
      current.run(of(ctx), () => super(ctx, env));
    }
  }
  for (let proto = Base.prototype; proto !== null && proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
    for (const [method, { value }] of Object.entries(Object.getOwnPropertyDescriptors(proto))) {
      if (method === "constructor" || typeof value !== "function" || Object.hasOwn(Labelled.prototype, method)) continue;
      Object.defineProperty(Labelled.prototype, method, {
        configurable: true,
        writable: true,
        value(...args) {
          return current.run(of(this.ctx), () => value.apply(this, args));
        },
      });
    }
  }
  return Labelled;
}
