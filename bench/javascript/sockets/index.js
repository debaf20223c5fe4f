// The hand-written side of WebSockets: a room whose every message goes to all its sockets.
import { DurableObject } from "cloudflare:workers";

export class Room extends DurableObject {
  fetch() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(_socket, message) {
    for (const socket of this.ctx.getWebSockets()) {
      try {
        socket.send(message);
      } catch {
        // It is closing.
      }
    }
  }
}

export default {
  fetch: (request, env) => env.Room.getByName("one").fetch(request),
};
