// The servers of other people: the reference facilitator, a resource server of the
// reference middleware, and an MCP server with a paid tool of Cloudflare's agents.

import { EventEmitter, once } from "node:events";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { x402Facilitator } from "@x402/core/facilitator";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { registerExactEvmScheme } from "@x402/evm/exact/facilitator";
import { ExactEvmScheme } from "@x402/evm/exact/server";
import { paymentMiddleware, x402ResourceServer } from "@x402/express";
import { withX402 } from "agents/x402";
import express from "express";
import { network } from "./chain.mjs";
import { listen } from "./process.mjs";

/**
 * The facilitator of @x402/core and @x402/evm over HTTP, with an account of its own
 * for gas. judged() takes what it was asked and said since the last time, in order:
 * {task: "verify" | "settle", version, passed, reason?, transaction?}; settled() waits
 * for the next that it says of a settlement. options are those of
 * toFacilitatorEvmSigner.
 */
export async function facilitator(chain, options) {
  const account = await chain.account(1n);
  const reference = registerExactEvmScheme(new x402Facilitator(), {
    signer: toFacilitatorEvmSigner({ ...chain.wallet(account), address: account.address }, options),
    networks: network,
  });
  const judged = [];
  const events = new EventEmitter();
  const app = express().use(express.json());
  app.get("/supported", (_, answer) => answer.json(reference.getSupported()));
  app.post("/verify", async ({ body: { paymentPayload: paid, paymentRequirements } }, answer) => {
    const said = await reference.verify(paid, paymentRequirements);
    judged.push({ task: "verify", version: paid.x402Version, passed: said.isValid, reason: said.invalidReason });
    answer.json(said);
  });
  app.post("/settle", async ({ body: { paymentPayload: paid, paymentRequirements } }, answer) => {
    const said = await reference.settle(paid, paymentRequirements);
    const { success: passed, errorReason: reason, transaction } = said;
    judged.push({ task: "settle", version: paid.x402Version, passed, reason, transaction });
    events.emit("settle", judged.at(-1));
    answer.json(said);
  });
  return { ...(await listen(app)), judged: () => judged.splice(0), settled: () => once(events, "settle") };
}

/** A server with one paid route, GET /secret. */
export function resource(facilitatorURL, { payTo, price }) {
  const payments = new x402ResourceServer(new HTTPFacilitatorClient({ url: facilitatorURL })).register(
    network,
    new ExactEvmScheme(),
  );
  const app = express();
  app.use(paymentMiddleware({ "GET /secret": { accepts: { scheme: "exact", price: `$${price}`, network, payTo } } }, payments));
  app.get("/secret", (_, answer) => answer.json({ secret: "a paid answer" }));
  return listen(app);
}

/** An MCP server with one paid tool, secret. */
export function paidTool(facilitatorURL, { payTo, price }) {
  const app = express().use(express.json());
  app.post("/mcp", async (request, answer) => {
    const server = withX402(new McpServer({ name: "paid", version: "1.0.0" }), {
      network,
      recipient: payTo,
      facilitator: { url: facilitatorURL },
    });
    server.paidTool("secret", "Tells it", Number(price), {}, {}, async () => ({
      content: [{ type: "text", text: "a paid answer" }],
    }));
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true }); // without sessions
    answer.on("close", () => server.close());
    await server.connect(transport);
    await transport.handleRequest(request, answer, request.body);
  });
  return listen(app);
}
