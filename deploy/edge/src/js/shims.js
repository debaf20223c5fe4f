// Stand-ins for what workerd does not simulate, in as few lines as a test needs. They are never part of a deployment.

import { WorkerEntrypoint } from "cloudflare:workers";

/** A secret of the Secrets Store. */
export class Secret extends WorkerEntrypoint {
  get() {
    return this.ctx.props.value;
  }
}

/** The current window of each limit and key, with its calls. The platform counts approximately; this counts exactly. */
const windows = new Map();

/** A rate limit. */
export class RateLimit extends WorkerEntrypoint {
  limit({ key }) {
    const { namespace, limit, period } = this.ctx.props;
    const id = JSON.stringify([namespace, key]);
    const now = Date.now();
    let window = windows.get(id);
    if (window === undefined || now >= window.end) {
      window = { calls: 0, end: now + period * 1000 };
      windows.set(id, window);
    }
    window.calls += 1;
    return { success: window.calls <= limit };
  }
}

/** A dataset of Analytics Engine. Each data point becomes a line of the log. */
export class Analytics extends WorkerEntrypoint {
  async fetch(request) {
    console.debug(`analytics: ${this.ctx.props.dataset}: ${await request.text()}`);
    return new Response();
  }
}

export default {};
