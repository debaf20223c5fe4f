// Calls a Rust object with each kind of typed array, and tells what it has.

const CALLS = [
  ["f32s", new Float32Array([1.5, 2.5])],
  ["f32s", new Float64Array([1.5, -2])],
  ["i32s", new Int32Array([1, -2])],
  ["i32s", new Uint16Array([1, 65535])],
  ["i8s", new Int8Array([1, -2])],
  ["i64s", new BigInt64Array([1n, -9007199254740993n])],
  ["i64s", new Uint32Array([4294967295])],
  ["u8s", new Uint8ClampedArray([1, 255])],
  ["u8s", new Uint8Array([1, 255])],
  ["u8s", new Int8Array([1, 2])],
  ["u8s", new Uint8Array([1, 255]).buffer],
  ["u8s", new DataView(new Uint8Array([1, 255]).buffer)],
];

export default {
  async fetch(request, env) {
    const pit = env.Pit.getByName("typed");
    const answers = [];
    for (const [method, values] of CALLS) answers.push(await pit[method](values));
    return Response.json(answers);
  },
};
