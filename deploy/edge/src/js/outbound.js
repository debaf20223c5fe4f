// Where the requests go that tested Workers make to the outside: a host that the test named goes where the test says, every other
// one to the test's own answers. Never part of a deployment.

export default {
  async fetch(request, { ROUTES, ANSWERS, INTERNET }) {
    const url = new URL(request.url);
    if (Object.hasOwn(ROUTES, url.hostname)) {
      const target = ROUTES[url.hostname];
      if (target === null) return INTERNET.fetch(request);
      const { protocol, host } = new URL(target);
      [url.protocol, url.host] = [protocol, host];
      return INTERNET.fetch(new Request(url, request));
    }
    const response = await ANSWERS.fetch(request);
    const refused = response.headers.get("x-realgar-refused");
    if (refused !== null) throw new Error(refused);
    return response;
  },
};
