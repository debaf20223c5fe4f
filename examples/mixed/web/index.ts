// A TypeScript Worker that calls a Rust object, and hosts an object that Rust calls. The types of the Rust object come from its
// own build: see "paths" in tsconfig.json.
import { DurableObject } from "cloudflare:workers";
import type { Board, Line, Note, NoteInput } from "board";

interface Env {
  BOARDS: DurableObjectNamespace<Board>;
}

/** Called from Rust, as `ModeratorRpc` declares it. */
export class Moderator extends DurableObject {
  judge(note: Note): { ok: boolean; reason?: string } {
    return note.text.includes("spam") ? { ok: false, reason: `${note.author} again` } : { ok: true };
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const board = env.BOARDS.getByName(new URL(request.url).pathname);
    if (request.method === "POST") {
      try {
        const note: NoteInput = await request.json();
        return Response.json({ number: await board.pin(note) });
      } catch (error) {
        // An error of the method is an exception whose own properties are the data.
        const { message, data } = error as Error & { data: unknown };
        return Response.json({ message, data }, { status: 400 });
      }
    }
    if (request.headers.get("accept") !== "application/jsonl") return Response.json(await board.notes());
    const lines = (await new Response(await board.each()).text()).trim().split("\n");
    const items = lines.map((line): Line<Note> => JSON.parse(line)).flatMap((line) => ("item" in line ? [line.item.text] : []));
    return new Response(items.join("\n"));
  },
};
