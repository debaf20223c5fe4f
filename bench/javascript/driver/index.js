// One JavaScript caller for both objects: GET /TARGET/N.
export default {
  async fetch(request, env) {
    const [, target, count] = new URL(request.url).pathname.split("/");
    const adder = env[target].getByName("one");
    let sum = 0;
    for (let i = 0; i < Number(count); i++) sum = await adder.increment(1);
    return new Response(String(sum));
  },
};
