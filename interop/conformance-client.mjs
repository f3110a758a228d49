// What the conformance suite starts as a client: it has `concierge mcp guest` connect
// to the server of a scenario, and does over it what the scenario wants.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { generatePrivateKey } from "viem/accounts";
import { concierge, folder } from "./process.mjs";

const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const { toolCalls } = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT || "{}");
const host = process.argv[2];

const client = new Client({ name: "interop", version: "1.0.0" });
// Or it would open the wallet and the purse of whoever runs this.
const env = { CONCIERGE_WALLET_KEY: generatePrivateKey(), CONCIERGE_HOME: folder() };
await client.connect(new StdioClientTransport({ command: concierge, args: ["mcp", "guest", "--host", host], env }));
const { tools } = await client.listTools();

/** The calls that a scenario wants: those that it gives, or one of each tool. */
function calls() {
  if (toolCalls) return toolCalls;
  const focal = tools.find(({ name }) => name === "json_schema_2020_12_tool");
  const args = { tools_call: { a: 5, b: 3 }, "http-invalid-tool-headers": { region: "us-west1" } };
  return tools.map(({ name }) => ({
    name,
    arguments: name === "json_schema_echo" ? { schema: focal.inputSchema } : (args[scenario] ?? {}),
  }));
}

for (const call of calls()) {
  const { isError, content } = await client.callTool(call);
  console.log(`${call.name}: ${isError ? "failed: " : ""}${content.map(({ text }) => text).join(" ")}`);
}
await client.close();
