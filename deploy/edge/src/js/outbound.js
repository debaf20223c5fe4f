// This Worker receives the requests that Workers under test make to the outside. A request to a host with a route goes where the
// test says; any other goes to the test's own answers. It is never part of a deployment.

export default {
  async fetch(request, { ROUTES, ANSWERS, INTERNET }) {
    const url = new URL(request.url);
    // Without the brackets of an IPv6 address, as a test writes it.
    const hostname = url.hostname.replace(/^\[|\]$/g, "");
    if (Object.hasOwn(ROUTES, hostname)) {
      const target = ROUTES[hostname];
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
