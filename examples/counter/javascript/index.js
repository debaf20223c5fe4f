// A plain JavaScript Worker that calls the Rust object. `increment` and `get` are methods like any other.
export default {
  async fetch(request, env) {
    const counter = env.COUNTERS.getByName(new URL(request.url).pathname.slice(1));
    const value = request.method === "POST" ? await counter.increment(1) : await counter.get();
    return Response.json({ value });
  },
};
