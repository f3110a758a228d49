// The bundles of `make mcpb` for this system, as Claude Desktop takes them: by the functions of the
// package that it shares, @anthropic-ai/mcpb, and its command.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { getMcpConfigForManifest } from "@anthropic-ai/mcpb/node";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { inAMonth } from "./host.mjs";
import { folder, run } from "./process.mjs";

const mcpb = fileURLToPath(new URL("node_modules/@anthropic-ai/mcpb/dist/cli/cli.js", import.meta.url));
const made = (file) => fileURLToPath(new URL(`../bin/interop/${file}`, import.meta.url));

async function call(client, name, args) {
  const { isError, content, structuredContent } = await client.callTool({ name, arguments: args });
  assert.ok(!isError, content?.[0]?.text);
  return structuredContent;
}

/** What is tried with each bundle: how its form is filled in, and what it does then. */
export const bundles = {
  guest: {
    form: {}, // as it comes: a demo
    use: async (client) => {
      // A list of tools does not wait for Hosts that are slow to start; this does.
      const { events } = await call(client, "find_events", {});
      const [event] = events.filter(({ price }) => price === "0.05");
      assert.ok(event, JSON.stringify(events));
      const names = (await client.listTools()).tools.map(({ name }) => name);
      const booked = [];
      for (const name of names.filter((n) => n.startsWith("rsvp_to_event"))) {
        const answer = await client.callTool({ name, arguments: { event_id: event.id } });
        if (!answer.isError) booked.push(answer.structuredContent);
      }
      assert.deepEqual(booked.map(({ status, price }) => [status, price]), [["confirmed", "0.05"]]);
      return `booked ${event.title} of its demo, in ${booked[0].transaction}`;
    },
  },
  host: {
    form: { email: "host@example.org", data: `${folder()}/a b` },
    use: async (client) => {
      const { id } = await call(client, "create_event", { title: "Jazz", price: "0.05", starts_at: inAMonth() });
      const { events } = await call(client, "list_events", {});
      assert.deepEqual(events.map((event) => event.id), [id]);
      return `made the event ${id}, and lists it`;
    },
  },
};

/** Checks a bundle, unpacks it, and speaks to what its manifest starts. */
export async function bundled(name) {
  const file = `concierge-${name}.mcpb`;
  const hash = createHash("sha256").update(readFileSync(made(file))).digest("hex");
  assert.equal(readFileSync(made(`${file}.sha256`), "utf8"), `${hash}  ${file}\n`);
  const entry = JSON.parse(readFileSync(made(`concierge-${name}.server.json`), "utf8"));
  assert.deepEqual(entry.packages.map(({ fileSha256 }) => fileSha256), [hash]);

  const extensionPath = folder();
  await run(process.execPath, [mcpb, "info", made(file)]);
  await run(process.execPath, [mcpb, "unpack", made(file), extensionPath]);
  await run(process.execPath, [mcpb, "validate", extensionPath]);
  const manifest = JSON.parse(readFileSync(`${extensionPath}/manifest.json`, "utf8"));
  assert.equal(entry.version, manifest.version);

  const { form, use } = bundles[name];
  const defaults = Object.entries(manifest.user_config).map(([key, field]) => [key, field.default]);
  const home = folder();
  const config = await getMcpConfigForManifest({
    manifest,
    extensionPath,
    systemDirs: { HOME: home },
    userConfig: { ...Object.fromEntries(defaults), ...form }, // its form shows what is there
    pathSeparator: "/",
  });
  assert.ok(config, "a required field is empty");
  assert.doesNotMatch(JSON.stringify(config), /\$\{/, "something is not filled in");
  const client = new Client({ name: "interop", version: "1.0.0" });
  const { command, args, env } = config;
  await client.connect(new StdioClientTransport({ command, args, env: { ...env, HOME: home, CONCIERGE_HOME: home } }));
  try {
    const names = (await client.listTools()).tools.map((tool) => tool.name);
    const missing = manifest.tools.filter(({ name: tool }) => !names.includes(tool));
    assert.deepEqual(missing, [], `in the manifest, and not in ${names}`);
    return `${manifest.version}, SHA-256 ${hash}: valid, and ${await use(client)}`;
  } finally {
    await client.close();
  }
}
