// A server of ours with one Host in it, as others see it.

import assert from "node:assert/strict";
import { parseUnits } from "viem";
import { network } from "./chain.mjs";
import { concierge, folder, start } from "./process.mjs";

/** The time then, as RFC 3339 has it. */
export const inAMonth = () => new Date(Date.now() + 30 * 86_400_000).toISOString();

/** Asks a server of ours for JSON, and wants the given status. */
async function ask(url, { status = 200, token, body } = {}) {
  const answer = await fetch(url, {
    method: body ? "POST" : "GET",
    headers: {
      ...(body && { "Content-Type": "application/json" }),
      ...(token && { Authorization: `Bearer ${token}` }),
    },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.equal(answer.status, status, `${url}: ${text}`);
  return JSON.parse(text);
}

/** `concierge serve` on a chain with these flags and variables, and a Host. */
export async function serve(chain, args, env) {
  const all = ["serve", "--addr", "127.0.0.1:0", "--data", folder(), ...chain.flags, ...args];
  const server = await start(concierge, all, env);
  const { user, owner_token, mcp_url, wallet_address } = await ask(`${server.url}/api/users`, {
    status: 201,
    body: { email: "host@example.org" },
  });
  const api = `${server.url}/api/users/${user}`;
  return {
    server,
    chain,
    payments: 0, // booked so far
    user,
    mcp: mcp_url,
    token: owner_token,
    wallet: wallet_address,

    /** A new event; price is in USD, such as "0.05". */
    event: async (price) => {
      const body = { title: "Jazz – é", price, starts_at: inAMonth(), capacity: 2 };
      return (await ask(`${api}/events`, { status: 201, token: owner_token, body })).id;
    },

    /** A new event with these fields. */
    create: (body) => ask(`${api}/events`, { status: 201, token: owner_token, body }),

    /** Calls a tool of the owner's. */
    tool: async (name, args) => {
      const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: args } };
      const { result } = await ask(mcp_url, { token: owner_token, body });
      assert.ok(result && !result.isError, JSON.stringify(result));
    },

    /** The Host's page. */
    page: `${server.url}/u/${user}`,

    /** The event as everybody sees it. */
    look: (event) => ask(`${api}/events/${event}`),

    /** The URL at which it is booked. */
    rsvps: (event) => `${api}/events/${event}/rsvps`,

    /**
     * Holds an RSVP against what was to be paid for it, and returns the payment
     * as Chain.found takes it.
     */
    booked(rsvp, { account, price, seats = 1 }) {
      const amount = parseUnits(price, 6) * BigInt(seats);
      assert.equal(rsvp.status, "confirmed", JSON.stringify(rsvp));
      assert.equal(rsvp.payer.toLowerCase(), account.address.toLowerCase());
      assert.equal(rsvp.amount, String(amount));
      assert.equal(rsvp.seats, seats);
      assert.equal(rsvp.network, network);
      this.payments++;
      return { payer: account.address, payTo: wallet_address, amount, transaction: rsvp.transaction };
    },

    /** Atomic units of USDC: what the Host has earned by its own books. */
    revenue: async () => BigInt((await ask(`${api}/revenue`, { token: owner_token })).settled.amount),
  };
}
