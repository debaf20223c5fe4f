// Asks a module for the description of itself: runs its describe exports, and prints one line of JSON. A module may not call JavaScript
// here, so each of its imports throws. `node -e SOURCE PATH SECONDS` runs this file.

const { Worker } = require("node:worker_threads");

const [path, seconds] = process.argv.slice(1);

/** Runs on a thread of its own, because a loop without an end can only be ended from another one. */
function ask() {
  const { readFileSync } = require("node:fs");
  const { parentPort, workerData } = require("node:worker_threads");

  class CalledImport extends Error {}

  /** `_print` and `_eprint` of `std::io::stdio`, as rustc mangles their names (v0, and legacy before it). */
  const PRINTS = ["5stdio6__print", "5stdio7__eprint", "5stdio6_print17h", "5stdio7_eprint17h"];

  const answers = (bytes) => {
    const module = new WebAssembly.Module(bytes);
    const names = WebAssembly.Module.exports(module).map(({ name }) => name);
    if (!names.includes("__realgar_describe")) return "nothing";
    const imports = {};
    for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
      if (kind !== "function") continue;
      (imports[from] ??= {})[name] = () => {
        throw new CalledImport(name);
      };
    }
    parentPort.postMessage("begins");
    const { exports } = new WebAssembly.Instance(module, imports);
    /** The text whose address (upper half) and length (lower half) an export returns. */
    const text = (name) => {
      const packed = BigInt.asUintN(64, exports[name]());
      const bytes = new Uint8Array(exports.memory.buffer, Number(packed >> 32n), Number(packed & 0xffff_ffffn));
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    };
    try {
      const description = text("__realgar_describe");
      const interfaces = names.filter((name) => name.startsWith("__realgar_describe_interface_")).map(text);
      return { answers: { description, interfaces, prints: PRINTS.some((name) => bytes.includes(name)) } };
    } catch (error) {
      if (error instanceof CalledImport) return { called_import: error.message };
      // A panic has left its text behind; another trap has not.
      return { panicked: text("__realgar_describe_panic") || error.message };
    }
  };

  let told;
  try {
    told = answers(readFileSync(workerData));
  } catch (error) {
    told = { unreadable: error.message };
  }
  parentPort.postMessage(told);
}

const worker = new Worker(`(${ask})()`, { eval: true, workerData: path, resourceLimits: { stackSizeMb: 32 } });
const tell = (told) => {
  console.log(JSON.stringify(told));
  process.exit();
};
worker.on("message", (told) => {
  if (told === "begins") setTimeout(() => tell("timed_out"), seconds * 1000);
  else tell(told);
});
worker.on("error", (error) => tell({ unreadable: error.message }));
