// In front of a script that a developer runs: a line for each request. Never part of a deployment.

export default {
  async fetch(request, { TARGET, SCRIPT }) {
    const began = Date.now();
    const { pathname, search } = new URL(request.url);
    const tell = (status) =>
      console.log(`\u0003${JSON.stringify([SCRIPT, request.method, pathname + search, status, Date.now() - began])}`);
    try {
      const response = await TARGET.fetch(request);
      tell(response.status);
      return response;
    } catch (error) {
      tell(500);
      throw error;
    }
  },
};
