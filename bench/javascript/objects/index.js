// The hand-written side: the same object and the same loop in JavaScript.
import { DurableObject } from "cloudflare:workers";

export class Adder extends DurableObject {
  sum = 0;

  async increment(by) {
    return (this.sum += by);
  }
}

export default {
  async fetch(request, env) {
    const count = Number(new URL(request.url).pathname.slice(1));
    const adder = env.Adder.getByName("one");
    let sum = 0;
    for (let i = 0; i < count; i++) sum = await adder.increment(1);
    return new Response(String(sum));
  },
};
