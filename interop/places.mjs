// What a Host has beside its tools, as the TypeScript SDK's client finds it.

import assert from "node:assert/strict";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { inAMonth } from "./host.mjs";

const modern = { mode: { pin: "2026-07-28" } };

/** Connects to an MCP server in revision 2026-07-28. */
async function connect(url) {
  const client = new Client({ name: "interop", version: "1.0.0" }, { versionNegotiation: modern });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  return client;
}

/** Has a client find an event by its place, read it, and hear of it when its seats change. */
export async function places(host) {
  const event = await host.event("0.00");
  const uri = `event://${host.user}/${event}`;
  const client = await connect(host.mcp);
  const { resources } = await client.listResources();
  assert.ok(resources.some((r) => r.uri === uri), "the event is in the list");
  const { resourceTemplates } = await client.listResourceTemplates();
  assert.deepEqual(resourceTemplates.map((t) => t.uriTemplate), ["event://{user}/{event}", "event://{user}/{event}.ics"]);
  const { prompts } = await client.listPrompts();
  assert.deepEqual(prompts.map(({ name }) => name), ["find_something_to_do"]);
  const { messages } = await client.getPrompt({ name: "find_something_to_do", arguments: { interests: "jazz" } });
  assert.ok(messages[1].content.resource.text.includes(event));
  const ref = { type: "ref/resource", uri: "event://{user}/{event}" };
  const { completion } = await client.complete({ ref, argument: { name: "event", value: "jazz" } });
  assert.ok(completion.values.includes(event), "a word of the title finds it");

  const heard = [];
  const { promise, resolve } = Promise.withResolvers();
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => {
    heard.push(params.uri);
    resolve();
  });
  const before = await client.readResource({ uri });
  const subscription = await client.listen({ resourcesListChanged: true, resourceSubscriptions: [uri] });
  assert.deepEqual(subscription.honoredFilter, { resourcesListChanged: true, resourceSubscriptions: [uri] });
  await client.callTool({ name: "rsvp_to_event", arguments: { event_id: event } });
  await promise;
  const after = await client.readResource({ uri });
  const seats = ({ contents }) => JSON.parse(contents[0].text).seats_left;
  assert.equal(seats(after), seats(before) - 1, "what is read after the notice");
  assert.deepEqual(heard, [uri]);
  await subscription.close();
  assert.equal(await subscription.closed, "local");
  await client.close();
  return "lists, reads, prompts, completes, and hears of a booking";
}

/** Has a client find an event of a Host by the server that all Hosts share, and read it there. */
export async function shared(host) {
  const event = await host.create({ title: "Zither evening", starts_at: inAMonth(), location: "Kraków" });
  const client = await connect(`${host.server.url}/mcp`);
  const { structuredContent: found } = await client.callTool({ name: "find_events", arguments: { query: "krakow zith" } });
  assert.deepEqual(found.events.map((e) => [e.id, e.host.mcp_url]), [[event.id, host.mcp]]);
  const { structuredContent: read } = await client.callTool({ name: "get_event", arguments: { user: host.user, event_id: event.id } });
  assert.equal(read.title, event.title);
  await client.close();
  return `finds ${event.id} at ${host.mcp}`;
}
