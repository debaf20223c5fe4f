// The program of bench/noop, for alchemy 0.94: `run.js prepare|run COUNT`, in a folder of its own. It has no plan apart from the run,
// in which every resource is found unchanged. Prints the time in milliseconds and the memory in kilobytes.
import alchemy, { Resource } from "alchemy";

const count = Number(process.argv[3]);
let changed = 0;
const Thing = Resource("bench::Thing", async function (id, props) {
  changed += 1;
  return this.phase === "delete" ? this.destroy() : { ...props, key: `id-${id}` };
});
const started = performance.now();
const app = await alchemy("bench", { stage: "dev", quiet: true, phase: "up" });
let hub;
for (let index = 0; index < count; index++) {
  const thing = await Thing(`resource-${index}`, {
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
await app.finalize();
if (process.argv[2] === "run" && changed > 0) throw new Error(`${changed} resources were made again`);
console.log(performance.now() - started, process.resourceUsage().maxRSS);
