// A Worker in front of a script that a developer runs. It logs a line for each request. It is never part of a deployment.

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
