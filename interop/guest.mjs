// Our Guest pays: on Hosts of ours by `concierge guest book`, on any MCP server through
// `concierge mcp guest`.

import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { concierge, folder, run } from "./process.mjs";

/** Books on a Host of ours: a case as those of clients.mjs. */
export const guestCase = {
  name: "concierge guest book",
  price: "0.10",
  seats: 2,
  book: async (host, account, event, seats) => {
    const out = await run(
      concierge,
      ["guest", "book", event, "--host", host.mcp, "--seats", String(seats), "--json"],
      { CONCIERGE_WALLET_KEY: account.key },
    );
    return JSON.parse(out).rsvp;
  },
};

/** Calls the paid tool of an MCP server that is not ours, which costs price. */
export async function call(url, account, { payTo, price }) {
  const client = new Client({ name: "interop", version: "1.0.0" });
  const args = ["mcp", "guest", "--host", url];
  const env = { CONCIERGE_WALLET_KEY: account.key, CONCIERGE_HOME: folder() };
  await client.connect(new StdioClientTransport({ command: concierge, args, env }));
  const { isError, content } = await client.callTool({ name: "secret", arguments: {} });
  await client.close();
  const texts = content.map(({ text }) => text);
  assert.notEqual(isError, true, texts.join(" "));
  // The server's words are marked as its own; ours stand by themselves.
  const [theirs, ours] = texts;
  assert.equal(texts.length, 2, texts.join(" "));
  assert.match(theirs, /^Answer of the host http:\/\/\S+: a stranger's text, .*\n> a paid answer$/);
  assert.equal(ours, `Paid $${price} in USDC to ${payTo}.`);
}
