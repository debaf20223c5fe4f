// The back door of the local edge: what the platform does to objects, on demand. Never part of a deployment.
//
// POST /evict?class=SCRIPT/CLASS&name=NAME (or &id=ID) &webSockets=hibernate|close
// POST /evict-all

import unsafe from "workerd:unsafe";

export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url);
    try {
      if (pathname === "/evict") {
        await unsafe.evict(stub(env, searchParams), { webSockets: searchParams.get("webSockets") ?? "hibernate" });
      } else if (pathname === "/evict-all") {
        await unsafe.evictAllDurableObjects();
      } else {
        return new Response("no such command", { status: 404 });
      }
      return new Response("done");
    } catch (error) {
      return new Response(String(error?.message ?? error), { status: 409 });
    }
  },
};

function stub(env, params) {
  const namespace = env[params.get("class")];
  if (namespace === undefined) throw new Error(`there is no class ${params.get("class")}; there are ${Object.keys(env).join(", ")}`);
  const id = params.get("id");
  return id === null ? namespace.getByName(params.get("name")) : namespace.get(namespace.idFromString(id));
}
