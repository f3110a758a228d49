// A mail server that keeps what it is sent, in memory.

import { once } from "node:events";
import { createServer } from "node:net";

/** Listens on a port of its own: {address, next(), stop()}; next is the next mail that comes. */
export async function mailbox() {
  const waiting = [];
  const kept = [];
  const deliver = (mail) => (waiting.length ? waiting.shift()(mail) : kept.push(mail));
  const server = createServer((socket) => receive(socket, deliver));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${server.address().port}`,
    next: () => (kept.length ? Promise.resolve(kept.shift()) : new Promise((resolve) => waiting.push(resolve))),
    stop: () => server.close(),
  };
}

/** Speaks as much SMTP (RFC 5321) as a client needs that has one mail to send. */
function receive(socket, deliver) {
  socket.setEncoding("utf8");
  socket.write("220 mailbox ESMTP\r\n");
  let buffer = "";
  let body; // of the mail that is being read
  socket.on("error", () => {}); // a client that is gone
  socket.on("data", (text) => {
    buffer += text;
    for (let end; (end = buffer.indexOf("\r\n")) >= 0; ) {
      const line = buffer.slice(0, end);
      buffer = buffer.slice(end + 2);
      if (body !== undefined && line !== ".") {
        body += `${line}\n`;
        continue;
      }
      if (body !== undefined) {
        deliver(body);
        body = undefined;
        socket.write("250 kept\r\n");
        continue;
      }
      switch (line.slice(0, 4).toUpperCase()) {
        case "EHLO":
          socket.write("250-mailbox\r\n250 8BITMIME\r\n");
          break;
        case "DATA":
          body = "";
          socket.write("354 go on\r\n");
          break;
        case "QUIT":
          socket.end("221 bye\r\n");
          break;
        default:
          socket.write("250 ok\r\n");
      }
    }
  });
}
