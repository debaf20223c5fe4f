// Where the requests go that tested Workers make to the outside: a host that the test named goes where the test says, every other
// one to the test's own answers. Never part of a deployment.

export default {
  async fetch(request, { ROUTES, ANSWERS, INTERNET }) {
    const url = new URL(request.url);
    if (!Object.hasOwn(ROUTES, url.hostname)) return ANSWERS.fetch(request);
    const target = ROUTES[url.hostname];
    if (target === null) return INTERNET.fetch(request);
    const { protocol, host } = new URL(target);
    [url.protocol, url.host] = [protocol, host];
    return INTERNET.fetch(new Request(url, request));
  },
};
