// Other people's clients book and pay on a server of ours.

import assert from "node:assert/strict";
import { Client as ModernClient, StreamableHTTPClientTransport as ModernTransport } from "@modelcontextprotocol/client";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { x402Client } from "@x402/core/client";
import { decodePaymentRequiredHeader, decodePaymentResponseHeader, encodePaymentSignatureHeader } from "@x402/core/http";
import { parsePaymentRequired } from "@x402/core/schemas";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import { ExactEvmSchemeV1 } from "@x402/evm/exact/v1/client";
import { wrapFetchWithPayment } from "@x402/fetch";
import { withX402Client } from "agents/x402";
import { decodeXPaymentResponse, wrapFetchWithPayment as wrapFetchWithPaymentV1 } from "x402-fetch";
import { network, networkV1 } from "./chain.mjs";
import { inAMonth } from "./host.mjs";
import { concierge, folder } from "./process.mjs";

const funds = 5_000_000n; // atomic units of USDC: what a payer begins with
const self = { name: "interop", version: "1.0.0" };

/** The reference client of both versions, for an account. */
export const payer = (account, config = {}) =>
  x402Client.fromConfig({
    schemes: [
      { network, client: new ExactEvmScheme(account) },
      { network: networkV1, client: new ExactEvmSchemeV1(account), x402Version: 1 },
    ],
    ...config,
  });

const post = { method: "POST", headers: { "Content-Type": "application/json" } };

/** Fetches with a client that pays, and returns the RSVP and the answer's headers. */
async function overREST(pay, host, event, seats) {
  const answer = await pay(host.rsvps(event), { ...post, body: JSON.stringify({ seats }) });
  const text = await answer.text();
  assert.equal(answer.status, 201, text);
  return { rsvp: JSON.parse(text), headers: answer.headers };
}

/** An MCP client that has listed the tools: it holds results against their output schemas. */
async function overMCP(url, fetch) {
  const client = new Client(self);
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch }));
  await client.listTools();
  return client;
}

const rsvpCall = (event, seats) => ({ name: "rsvp_to_event", arguments: { event_id: event, seats } });

/** Wants an RSVP of a tool's result, and the receipt beside it to be of the same payment. */
function rsvpOf(result, { receipt = result._meta?.["x402/payment-response"] } = {}) {
  assert.notEqual(result.isError, true, result.content[0].text);
  const rsvp = result.structuredContent;
  assert.deepEqual(JSON.parse(result.content[0].text), rsvp);
  sameReceipt(receipt, rsvp);
  return rsvp;
}

function sameReceipt(receipt, rsvp) {
  assert.equal(receipt?.success, true, JSON.stringify(receipt));
  assert.equal(receipt.transaction, rsvp.transaction);
  assert.equal(receipt.payer.toLowerCase(), rsvp.payer.toLowerCase());
}

/** Wants a result to ask for payment, in every place where a client may look. */
function requiredOf(result) {
  assert.equal(result.isError, true);
  const required = result.structuredContent;
  assert.deepEqual(JSON.parse(result.content[0].text), required);
  assert.deepEqual(result._meta["x402/error"], required);
  const parsed = parsePaymentRequired(required);
  assert.ok(parsed.success, String(parsed.error));
  return required;
}

/** Asks for the price over MCP, and pays it in `_meta` as encode has it. */
async function byMeta(host, event, seats, { pay, encode, required = requiredOf }) {
  const client = await overMCP(host.mcp);
  const call = rsvpCall(event, seats);
  const payment = await pay.createPaymentPayload(await required(await client.callTool(call)));
  const paid = { ...call, _meta: { "x402/payment": encode(payment) } };
  const rsvp = rsvpOf(await client.callTool(paid));
  // Who lost the answer sends the same again, and is not charged again.
  assert.equal(rsvpOf(await client.callTool(paid)).id, rsvp.id);
  await client.close();
  return rsvp;
}

const asObject = (payment) => payment;
const asBase64 = encodePaymentSignatureHeader;

/**
 * The requirements of version 1, which MCP results don't have: a client of that
 * version meets them in the body of HTTP 402.
 */
const requiredV1 = (host, event, seats) => async (result) => {
  requiredOf(result);
  const answer = await fetch(host.rsvps(event), { ...post, body: JSON.stringify({ seats }) });
  assert.equal(answer.status, 402);
  return answer.json();
};

/** The cases, each with a name, a price, seats and book(host, account, event) → RSVP. */
export const clientCases = [
  {
    name: "@x402/fetch, REST",
    price: "0.05",
    book: async (host, account, event, seats) => {
      const { rsvp, headers } = await overREST(wrapFetchWithPayment(fetch, payer(account)), host, event, seats);
      sameReceipt(decodePaymentResponseHeader(headers.get("PAYMENT-RESPONSE")), rsvp);
      return rsvp;
    },
  },
  {
    name: "@x402/fetch beyond its $1, REST",
    price: "1.25",
    seats: 2,
    book: async (host, account, event, seats) => {
      await assert.rejects(overREST(wrapFetchWithPayment(fetch, payer(account)), host, event, seats), /spendControls/);
      const pay = wrapFetchWithPayment(fetch, payer(account, { spendControls: false }));
      return (await overREST(pay, host, event, seats)).rsvp;
    },
  },
  {
    name: "x402-fetch (v1), REST",
    price: "0.07",
    book: async (host, account, event, seats) => {
      const { rsvp, headers } = await overREST(wrapFetchWithPaymentV1(fetch, account), host, event, seats);
      sameReceipt(decodeXPaymentResponse(headers.get("X-PAYMENT-RESPONSE")), rsvp);
      return rsvp;
    },
  },
  {
    name: "@x402/fetch around MCP, ?payment=http",
    price: "0.09",
    book: async (host, account, event, seats) => {
      const client = await overMCP(`${host.mcp}?payment=http`, wrapFetchWithPayment(fetch, payer(account)));
      const rsvp = rsvpOf(await client.callTool(rsvpCall(event, seats)));
      await client.close();
      return rsvp;
    },
  },
  {
    name: "x402-fetch (v1) around MCP, ?payment=http",
    price: "0.08",
    book: async (host, account, event, seats) => {
      // It drops the headers of a Headers object when it pays, which the transport's are.
      const pay = wrapFetchWithPaymentV1(fetch, account);
      const plain = (url, init) => pay(url, { ...init, headers: Object.fromEntries(init.headers) });
      const client = await overMCP(`${host.mcp}?payment=http`, plain);
      const rsvp = rsvpOf(await client.callTool(rsvpCall(event, seats)));
      await client.close();
      return rsvp;
    },
  },
  {
    name: "@x402/core v2, object in MCP _meta",
    price: "0.11",
    seats: 2,
    book: (host, account, event, seats) => byMeta(host, event, seats, { pay: payer(account), encode: asObject }),
  },
  {
    name: "@x402/core v2, base64 in MCP _meta",
    price: "0.12",
    book: (host, account, event, seats) => byMeta(host, event, seats, { pay: payer(account), encode: asBase64 }),
  },
  {
    name: "@x402/core v1, object in MCP _meta",
    price: "0.13",
    book: (host, account, event, seats) =>
      byMeta(host, event, seats, { pay: payer(account), encode: asObject, required: requiredV1(host, event, seats) }),
  },
  {
    name: "@x402/core v1, base64 in MCP _meta",
    price: "0.14",
    book: (host, account, event, seats) =>
      byMeta(host, event, seats, { pay: payer(account), encode: asBase64, required: requiredV1(host, event, seats) }),
  },
  {
    name: "agents/x402 around the MCP client of 2025",
    price: "0.06",
    book: async (host, account, event, seats) => {
      const client = withX402Client(await overMCP(host.mcp), { account, network });
      const { tools } = await client.listTools();
      assert.match(tools.find(({ name }) => name === "rsvp_to_event").description, /This is a paid tool/);
      const rsvp = rsvpOf(await client.callTool(null, rsvpCall(event, seats)));
      await client.close();
      return rsvp;
    },
  },
  {
    name: "agents/x402 around the MCP client of 2026-07-28",
    price: "0.04",
    book: async (host, account, event, seats) => {
      const modern = new ModernClient(self, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
      await modern.connect(new ModernTransport(new URL(host.mcp)));
      const client = withX402Client(modern, { account, network });
      await client.listTools();
      const rsvp = rsvpOf(await client.callTool(null, rsvpCall(event, seats)));
      await client.close();
      return rsvp;
    },
  },
];

/**
 * The owner makes an event and agents/x402 books it, both over the standard input and
 * output of `concierge mcp host`. Returns the payment as Chain.found takes it.
 */
export async function overStdio(chain, env) {
  const client = new Client(self);
  const args = ["mcp", "host", "--user", "host@example.org", "--data", folder(), ...chain.flags];
  await client.connect(new StdioClientTransport({ command: concierge, args, env }));
  const { tools } = await client.listTools();
  assert.ok(tools.some(({ name }) => name === "create_event"));
  const event = { title: "Jazz", price: "0.15", starts_at: inAMonth() };
  const { id } = (await client.callTool({ name: "create_event", arguments: event })).structuredContent;
  const [{ payTo }] = requiredOf(await client.callTool(rsvpCall(id, 1))).accepts;

  const account = await chain.account(funds);
  const paying = withX402Client(client, { account, network, maxPaymentValue: funds });
  const rsvp = rsvpOf(await paying.callTool(null, rsvpCall(id, 1)));
  const { settled } = (await paying.callTool(null, { name: "get_revenue", arguments: {} })).structuredContent;
  assert.deepEqual(settled, { amount: "150000", usd: "0.15" });
  await client.close();
  return { payer: account.address, payTo, amount: 150_000n, transaction: rsvp.transaction };
}

/**
 * A case in which no block is made until judge, the reference facilitator, has said
 * that the settlement is pending.
 */
export const lateCase = (judge) => ({
  name: "@x402/fetch, REST, settlement_pending",
  price: "0.05",
  book: async (host, account, event, seats) => {
    let booking;
    await host.chain.stopped(async () => {
      const settled = judge.settled();
      booking = overREST(wrapFetchWithPayment(fetch, payer(account)), host, event, seats);
      const early = booking.then(() => assert.fail("the Host answered before there was a block"));
      const [said] = await Promise.race([settled, early]);
      assert.equal(said.reason, "settlement_pending");
    });
    return (await booking).rsvp;
  },
});

/** A payer without money must be told why it is refused, and leave the seats free. */
export async function refused(host) {
  const account = await host.chain.account(1n);
  const event = await host.event("0.05");
  const before = await host.look(event);
  const pay = wrapFetchWithPayment(fetch, payer(account));
  const answer = await pay(host.rsvps(event), { ...post, body: JSON.stringify({ seats: 1 }) });
  assert.equal(answer.status, 402);
  const { error } = decodePaymentRequiredHeader(answer.headers.get("PAYMENT-REQUIRED"));
  assert.match(error, /insufficient/);
  assert.equal((await answer.json()).error, error);
  assert.equal((await host.chain.transfers({ from: account.address })).length, 0);
  assert.deepEqual(await host.look(event), before);
  return `refused as ${error}; no transfer, ${before.seats_left} seats left of ${before.capacity}`;
}

/** Makes an event for a case, has it booked, and returns the payment as Chain.found takes it. */
export async function pays(host, { price, seats = 1, book }) {
  const account = await host.chain.account(funds);
  const rsvp = await book(host, account, await host.event(price), seats);
  return host.booked(rsvp, { account, price, seats });
}
