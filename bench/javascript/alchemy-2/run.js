// The program of bench/noop, for alchemy 2: `run.js prepare|run COUNT`, in a folder of its own. Prints the time of the plan in
// milliseconds, with what it reads of the state, and the memory in kilobytes.
import * as Effect from "effect/Effect";
import * as Provider from "./node_modules/alchemy/lib/Provider.js";
import { Resource } from "./node_modules/alchemy/lib/Resource.js";
import * as Core from "./node_modules/alchemy/lib/Test/Core.js";

const [, , mode, text] = process.argv;
const count = Number(text);
const Thing = Resource("Bench.Thing");
const providers = Provider.succeed(Thing, {
  reconcile: ({ id, news }) => Effect.succeed({ ...news, key: `id-${id}` }),
  delete: () => Effect.void,
  read: ({ output }) => Effect.succeed(output),
  list: () => Effect.succeed([]),
});
const options = { providers, stage: "dev" };
const stack = Core.scratchStack(options, "bench", "bench");
const program = Effect.gen(function* () {
  let hub;
  for (let index = 0; index < count; index++) {
    const thing = yield* Thing(`resource-${index}`, {
      title: `resource number ${index}`,
      description: "some text that says at length what this is good for, and for whom ".repeat(3),
      size: index,
      enabled: index % 2 === 0,
      labels: ["one", "two", "three"].map((label) => `${label}-${index}`),
      ratio: 0.25,
      ...(index % 10 === 0 ? {} : { hub: hub.key }),
    });
    if (index % 10 === 0) hub = thing;
  }
});
const started = performance.now();
const result = await Core.run(mode === "run" ? stack.plan(program) : stack.deploy(program), options);
if (mode === "run") {
  const all = Object.values(result.resources);
  const changed = all.filter((own) => own.action !== "noop").length;
  if (all.length !== count || changed > 0) throw new Error(`${changed} of ${all.length} resources would be made again`);
}
console.log(`\n${performance.now() - started} ${process.resourceUsage().maxRSS}`);
process.exit(0);
