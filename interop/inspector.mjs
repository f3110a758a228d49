// MCP Inspector's command line: each line of docs/how-to/inspector.md, with what is to
// be filled in filled in.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { concierge, folder, run } from "./process.mjs";

const page = readFileSync(new URL("../docs/how-to/inspector.md", import.meta.url), "utf8");
const inspector = fileURLToPath(
  new URL("node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js", import.meta.url),
);
const prefix = "npx @modelcontextprotocol/inspector ";

/** What each line must print, by its tool, or its method: a function that returns what to say of it. */
const expected = {
  "tools/list": ({ tools }) => {
    assert.ok(tools.some(({ name }) => name === "rsvp_to_event"));
    return `${tools.length} tools`;
  },
  list_events: ({ structuredContent: { events } }) => {
    assert.deepEqual(events.map(({ title }) => title), ["Jazz – é"]);
    return "the event that is there";
  },
  rsvp_to_event: ({ structuredContent: { accepts, x402Version } }) => {
    assert.equal(x402Version, 2);
    assert.equal(accepts[0].amount, "50000");
    return "the request for payment";
  },
  get_revenue: ({ structuredContent: { settled } }) => {
    assert.deepEqual(settled, { amount: "0", usd: "0.00" });
    return "what the owner sees";
  },
  find_events: ({ structuredContent: { events } }) => {
    assert.ok(events.length > 0);
    return `${events.length} events of the demo`;
  },
};

/** The lines of the page: [{name, args}]. */
export const lines = [...page.matchAll(/^```sh\n([^]*?)^```$/gm)]
  .flatMap(([, block]) => block.trim().split("\n"))
  .map((line) => {
    assert.ok(line.startsWith(prefix), line);
    const args = [...line.slice(prefix.length).matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);
    const after = (flag) => args[args.indexOf(flag) + 1];
    const does = args.includes("--tool-name") ? after("--tool-name") : after("--method");
    return { name: `MCP Inspector: ${does}${args.includes("--") ? ", stdio" : ""}`, does, args };
  });

/** Runs a line against a Host that has one event. */
export async function inspected({ does, args }, host, event) {
  const filled = {
    [/https:\/\/\S+\/mcp\/users\/\S+/.source]: host.mcp,
    [/\$CONCIERGE_TOKEN/.source]: host.token,
    EVENT_ID: event,
    "/path/to/concierge": concierge,
    "/path/to/data": folder(),
  };
  const all = args.map((arg) =>
    Object.entries(filled).reduce((text, [from, to]) => text.replace(new RegExp(from), () => to), arg),
  );
  const home = folder(); // where it keeps a catalogue and secrets
  const out = await run(process.execPath, [inspector, ...all], { HOME: home, CONCIERGE_HOME: home }, does === "rsvp_to_event" ? 5 : 0);
  return `printed ${expected[does](JSON.parse(out))}`;
}
