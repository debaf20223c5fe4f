// This module is loaded before a script under test. It replaces the clock, and has objects evicted. It is never part of a
// deployment.

const { clock, evict } = JSON.parse("REALGAR_HOOKS");

/** The framework evicts an object after each event, where this is set. */
if (evict) globalThis.__realgarTestEvict = true;

/** Time stands still until a test advances it: for the program, which asks `Date`, and for the framework's alarms. */
if (clock !== null) {
  globalThis.__realgarTestClock = { now: clock };
  const Real = Date;
  globalThis.Date = class Date extends Real {
    constructor(...args) {
      if (args.length === 0) super(globalThis.__realgarTestClock.now);
      else super(...args);
    }

    static now() {
      return globalThis.__realgarTestClock.now;
    }

    /** A date that the platform made is an instance too. */
    static [Symbol.hasInstance](value) {
      return value instanceof Real;
    }
  };
}

function setClock(now) {
  if (globalThis.__realgarTestClock !== undefined) globalThis.__realgarTestClock.now = now;
}

/** The objects that were started since `__realgarTestNext` was last called, by class and id. */
let started = [];

export function hooked(name, Base) {
  return class extends Base {
    constructor(ctx, env) {
      super(ctx, env);
      started.push([name, ctx.id.toString()]);
    }

    /** Delivers the alarm at the time `now`, as the platform does. */
    async __realgarTestAlarm(now) {
      setClock(now);
      await this.alarm({ isRetry: false, retryCount: 0, scheduledTime: now });
    }

    /** Deletes the platform's alarm. The platform should never lose one; a test can see what happens if it does. */
    async __realgarTestLoseAlarm() {
      await this.ctx.storage.deleteAlarm();
    }

    /** Returns when something runs next in this object, and which objects were started meanwhile. */
    __realgarTestNext(now) {
      setClock(now);
      const found = started;
      started = [];
      return { next: globalThis.__realgarTestClock?.next?.(this.ctx.storage.sql) ?? null, started: found };
    }
  };
}

export const setClockOf = (Entrypoint) =>
  class extends Entrypoint {
    set(now) {
      setClock(now);
    }
  };
