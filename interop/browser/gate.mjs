// A proxy in front of a facilitator that lets settlements wait until it is opened:
// so a payment is under way for as long as a test wants.

import { once } from "node:events";
import { createServer } from "node:http";

/** Forwards to a server; close() has settlements wait, open() lets them go on. */
export async function gate(target) {
  let opened = Promise.resolve();
  let open = () => {};
  let arrived = () => {};
  const server = createServer(async (request, response) => {
    const body = [];
    for await (const part of request) body.push(part);
    if (request.url.endsWith("/settle")) {
      arrived();
      await opened;
    }
    const answer = await fetch(target + request.url, {
      method: request.method,
      headers: { "content-type": request.headers["content-type"] ?? "application/json" },
      body: request.method === "POST" ? Buffer.concat(body) : undefined,
    });
    response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "application/json" });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Returns a promise of the next settlement that waits. */
    close: () => {
      opened = new Promise((resolve) => (open = resolve));
      return new Promise((resolve) => (arrived = resolve));
    },
    open: () => open(),
    stop: () => {
      open();
      server.close();
      server.closeAllConnections();
    },
  };
}
