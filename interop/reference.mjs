// The servers of other people: the reference facilitator, a resource server of the
// reference middleware, and MCP servers of both generations with a paid tool.

import { EventEmitter, once } from "node:events";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { createMcpHandler, McpServer as ModernServer } from "@modelcontextprotocol/server";
import { x402Facilitator } from "@x402/core/facilitator";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { registerExactEvmScheme } from "@x402/evm/exact/facilitator";
import { ExactEvmScheme } from "@x402/evm/exact/server";
import { paymentMiddleware, x402ResourceServer } from "@x402/express";
import { withX402 } from "agents/x402";
import express from "express";
import { z } from "zod";
import { network, walletFactory } from "./chain.mjs";
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
    eip6492AllowedFactories: [walletFactory],
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

/**
 * Who sells: each makes a paid tool, secret, on an McpServer of either generation and
 * returns that server.
 */
export const sellers = {
  /** withX402 of Cloudflare's agents. */
  "agents/x402": (server, url, { payTo, price }) => {
    const paying = withX402(server, { network, recipient: payTo, facilitator: { url } });
    paying.paidTool("secret", "Tells it", Number(price), z.object({}), {}, async () => ({
      content: [{ type: "text", text: "a paid answer" }],
    }));
    return server;
  },

  /** The resource server of @x402/core, as the MCP transport of x402's specification has it. */
  "@x402/core": (server, url, { payTo, price }) => {
    const payments = new x402ResourceServer(new HTTPFacilitatorClient({ url })).register(network, new ExactEvmScheme());
    server.registerTool("secret", { description: "Tells it" }, async (context) => {
      await payments.initialize();
      const accepts = await payments.buildPaymentRequirements({ scheme: "exact", payTo, price: `$${price}`, network });
      const asks = async (reason) => {
        const required = await payments.createPaymentRequiredResponse(accepts, { url: "mcp://tool/secret" }, reason);
        return { isError: true, structuredContent: required, content: [{ type: "text", text: JSON.stringify(required) }] };
      };
      const payment = (context.mcpReq ?? context)._meta?.["x402/payment"];
      if (!payment) return asks("Payment required");
      const matching = payments.findMatchingRequirements(accepts, payment);
      if (!matching) return asks("No such offer");
      const { isValid, invalidReason } = await payments.verifyPayment(payment, matching);
      if (!isValid) return asks(invalidReason);
      const settled = await payments.settlePayment(payment, matching);
      if (!settled.success) return asks(settled.errorReason);
      return { content: [{ type: "text", text: "a paid answer" }], _meta: { "x402/payment-response": settled } };
    });
    return server;
  },
};

const self = { name: "paid", version: "1.0.0" };

/** By the newest revision of MCP that a server speaks: the handler of one made with sell. */
export const generations = {
  "2025-11-25": (sell) => async (request, answer) => {
    const server = sell(new McpServer(self));
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true }); // without sessions
    answer.on("close", () => server.close());
    await server.connect(transport);
    await transport.handleRequest(request, answer, request.body);
  },
  "2026-07-28": (sell) => toNodeHandler(createMcpHandler(() => sell(new ModernServer(self)), { legacy: "reject" })),
};

/**
 * An MCP server with one paid tool, secret. spoken() returns the revisions of MCP in
 * which it was called.
 */
export async function paidTool(seller, generation, facilitatorURL, offer) {
  const spoken = new Set();
  const handle = generations[generation]((server) => sellers[seller](server, facilitatorURL, offer));
  const app = express().use(express.json());
  app.post("/mcp", (request, answer) => {
    if (request.body.method === "tools/call") spoken.add(request.get("MCP-Protocol-Version"));
    return handle(request, answer, request.body);
  });
  return { ...(await listen(app)), spoken: () => [...spoken] };
}
