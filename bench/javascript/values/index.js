// The hand-written side of values and streams: GET /WHICH/SIZE/N.
import { DurableObject } from "cloudflare:workers";

/** In bytes: what a hand would choose, and what Realgar does. */
const CHUNK = 64 << 10;
const WIDE = 256 << 10;

export class Echo extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS lines (id INTEGER PRIMARY KEY, name TEXT, price REAL, active INTEGER)");
  }

  write(count) {
    for (let id = 0; id < count; id++) {
      const row = [id, `line number ${id}`, id * 1.25, id % 2 === 0 ? 1 : 0];
      this.ctx.storage.sql.exec("INSERT OR REPLACE INTO lines VALUES (?, ?, ?, ?)", ...row).toArray();
    }
    return count;
  }

  read(count) {
    const lines = this.ctx.storage.sql.exec("SELECT id, name, price, active FROM lines LIMIT ?", count).toArray();
    let most = 0;
    for (const { id, name, price, active } of lines) {
      if (active === 1 && price >= 0 && name.length > 0 && id > most) most = id;
    }
    return most;
  }

  echo(items) {
    return items;
  }

  number(number) {
    return number;
  }

  /** A stream of bytes that only fills buffers: `count` KiB, without items or their end. */
  blocks(count, chunk = CHUNK) {
    let left = count * 1024;
    return new ReadableStream(
      {
        type: "bytes",
        pull(controller) {
          const size = Math.min(chunk, left);
          left -= size;
          if (size > 0) controller.enqueue(new Uint8Array(size).fill(left & 255));
          if (left === 0) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
  }
}

function items(count) {
  return Array.from({ length: count }, (_, id) => ({
    id,
    name: `item number ${id}`,
    price: id * 1.25,
    tags: ["red", "large"],
    active: id % 2 === 0,
  }));
}

export default {
  async fetch(request, env) {
    const [, which, size, count] = new URL(request.url).pathname.split("/");
    const echo = env.Echo.getByName("one");
    const sent = items(Number(size));
    let seen = 0;
    for (let i = 0; i < Number(count); i++) {
      if (which === "number") seen += await echo.number(Number(size));
      else if (which === "write") seen += await echo.write(Number(size));
      else if (which === "read") seen += await echo.read(Number(size));
      else if (which === "echo") seen += (await echo.echo(sent)).length;
      else if (which === "stream") seen += await read(await echo.blocks(Number(size)), CHUNK);
      else if (which === "wide") seen += await read(await echo.blocks(Number(size), WIDE), WIDE);
      else seen += await first(await echo.blocks(1 << 20));
    }
    return new Response(String(seen));
  },
};

async function read(stream, chunk) {
  const reader = stream.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(chunk);
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(buffer));
    if (done) return bytes;
    bytes += value.byteLength;
    buffer = value.buffer;
  }
}

async function first(stream) {
  const reader = stream.getReader({ mode: "byob" });
  const { value } = await reader.read(new Uint8Array(1024));
  await reader.cancel();
  return value.byteLength;
}
