// Other implementations of x402 and MCP against bin/concierge (`make interop`):
// everything runs here, on 127.0.0.1, with money that is worth nothing. Prints what
// was paid and the transfer that the chain has of it; exits with 1 on any difference.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { calendars } from "./calendars.mjs";
import { bundled, bundles } from "./bundles.mjs";
import { anvil, devnet, usd } from "./chain.mjs";
import { Crossmint } from "./crossmint.mjs";
import { clientCases, lateCase, overStdio, pays, refused } from "./clients.mjs";
import { accounted, applicable, conforms } from "./conformance.mjs";
import { extensionCases } from "./extensions.mjs";
import { guestCase } from "./guest.mjs";
import { serve } from "./host.mjs";
import { inspected, lines } from "./inspector.mjs";
import { concierge, logs, start, stopAll } from "./process.mjs";
import { facilitator, generations, sellers } from "./reference.mjs";
import { places, shared } from "./places.mjs";
import { Report } from "./report.mjs";
import { ofVersion1, overHTTP, overHTTPWithoutMoney, toGuest } from "./sales.mjs";

const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
console.log(`node ${process.versions.node}, ${Object.entries(dependencies).map((d) => d.join(" ")).join(", ")}\n`);

const report = new Report();
const gas = async (chain) => ({ CONCIERGE_GAS_KEY: (await chain.account(1n)).key });
const reference = "reference facilitator"; // who settles, in the report

/**
 * Has clients book on a Host, and compares its books with the chain. Its server
 * settles with judge, the reference facilitator, or if there is none by itself; it
 * then signs offers and receipts as well.
 */
async function sells(chain, judge) {
  const host = await (judge ? serve(chain, ["--facilitator", judge.url]) : serve(chain, ["--sign-receipts"], await gas(chain)));
  const where = { chain, settler: judge ? reference : "concierge serve" };
  const cases = [guestCase, ...clientCases, ...(judge ? [] : extensionCases)];
  for (const test of cases) await report.payment(test.name, where, () => pays(host, test));
  await report.check("@x402/fetch without money, REST", where, () => refused(host));
  await report.check("the Host's books", where, () => books(host));
  if (!judge) await report.check("ical.js reads the Host's calendars", where, () => calendars(host));
  if (judge) await report.check("what the facilitator was asked", where, () => asked(host, judge));
  await host.server.stop();
}

/** Has the reference facilitator lose patience with a chain. */
async function settlesLate(chain) {
  const judge = await facilitator(chain, { confirmationTimeoutMs: 300 });
  const host = await serve(chain, ["--facilitator", judge.url]);
  const test = lateCase(judge);
  await report.payment(test.name, { chain, settler: reference }, () => pays(host, test));
  await host.server.stop();
}

/** Compares a Host's revenue and its wallet's balance with the transfers to it. */
async function books({ chain, wallet, payments, revenue }) {
  const logs = await chain.transfers({ to: wallet });
  assert.equal(logs.length, payments, "transfers and payments");
  const received = logs.reduce((sum, { args }) => sum + args.value, 0n);
  assert.equal(await revenue(), received, "revenue and transfers");
  assert.equal(await chain.balance(wallet), received, "balance and transfers");
  return `${logs.length} transfers of $${usd(received)} together, which is the Host's revenue and its wallet's balance`;
}

/** Wants each transfer to be one that the facilitator passed once and settled once, and one refusal. */
async function asked({ chain, wallet }, judge) {
  const said = judge.judged();
  const logs = await chain.transfers({ to: wallet });
  assert.deepEqual(
    said.map(({ task, passed, transaction }) => [task, passed, transaction]),
    [
      ...logs.flatMap(({ transactionHash }) => [
        ["verify", true, undefined],
        ["settle", true, transactionHash],
      ]),
      ["verify", false, undefined],
    ],
  );
  const settled = (version) => said.filter((s) => s.task === "settle" && s.version === version).length;
  return `it passed and settled ${settled(1)} payments of version 1 and ${settled(2)} of version 2, and refused one`;
}

/** Has wallets at Crossmint pay, and be paid: those of its SDK, and ours. */
async function atCrossmint(chain) {
  const crossmint = await Crossmint.start(chain);
  const host = await serve(chain, ["--wallets", "crossmint"], { ...crossmint.env, ...(await gas(chain)) });
  const where = { chain, settler: "concierge serve" };
  for (const test of crossmint.cases()) await report.payment(test.name, where, () => pays(host, test));
  await report.check("@crossmint/wallets-sdk and ours: the same wallets", where, () => crossmint.agrees(host));
  await report.check("the books of a Host at Crossmint", where, () => books(host));
  await host.server.stop();
}

/** Has other people's servers sell with a facilitator of ours. */
async function facilitates(chain, settler, url) {
  const where = { chain, settler };
  await report.payment("@x402/fetch → @x402/express", where, () => overHTTP(chain, url));
  const undeployed = await chain.smartWallet(1_000_000n, { deployed: false });
  await report.payment("@x402/fetch → @x402/express, ERC-6492", where, () => overHTTP(chain, url, undeployed));
  await report.payment("@x402/core v1 → its HTTPFacilitatorClient", where, () => ofVersion1(chain, url));
  await report.check("@x402/fetch without money → @x402/express", where, () => overHTTPWithoutMoney(chain, url));
}

/** Has the conformance suite try a Host and our Guest. */
async function conformance(chain) {
  const host = await serve(chain, [], await gas(chain));
  await host.event("0.05");
  await report.check("@modelcontextprotocol/client, MCP 2026-07-28: what is beside the tools", {}, () => places(host));
  await report.check("@modelcontextprotocol/client, MCP 2026-07-28: events of all Hosts", {}, () => shared(host));
  await report.check("MCP conformance: the list", {}, accounted);
  for (const scenario of await applicable()) {
    const { side, name, revision } = scenario;
    await report.check(`MCP conformance: ${side}, ${name}, ${revision}`, {}, () => conforms(scenario, host.mcp));
  }
  await host.server.stop();
}

/** Has the Inspector look at a Host, and what Claude Desktop installs at itself. */
async function shown(chain) {
  const host = await serve(chain, [], await gas(chain));
  const event = await host.event("0.05");
  for (const line of lines) await report.check(line.name, {}, () => inspected(line, host, event));
  await host.server.stop();
  for (const name of Object.keys(bundles)) await report.check(`@anthropic-ai/mcpb: concierge-${name}.mcpb`, {}, () => bundled(name));
}

/** All that is tried on each chain. */
async function tryAll(chain) {
  const judge = await facilitator(chain);
  const overPipes = { chain, settler: "concierge mcp host" };
  await report.payment("agents/x402, stdio", overPipes, async () => overStdio(chain, await gas(chain)));
  await sells(chain);
  await sells(chain, judge);
  await atCrossmint(chain);
  for (const seller of Object.keys(sellers))
    for (const generation of Object.keys(generations))
      await report.payment(`concierge mcp guest → ${seller}, MCP ${generation}`, { chain, settler: reference }, () =>
        toGuest(chain, judge, seller, generation),
      );
  const ours = await start(concierge, ["facilitator", "--addr", "127.0.0.1:0", ...chain.flags], await gas(chain));
  await facilitates(chain, "concierge facilitator", ours.url);
}

try {
  const embedded = await devnet();
  const independent = await anvil(embedded);
  await Promise.all([
    tryAll(embedded)
      .then(() => facilitates(embedded, "concierge devnet", `${embedded.url}/facilitator`))
      .then(() => conformance(embedded))
      .then(() => shown(embedded)),
    tryAll(independent).then(() => settlesLate(independent)),
  ]);
} finally {
  await stopAll();
}

if (report.failed > 0) console.log(`\n${logs()}`);
console.log(`\n${report.table()}\n\n${report.rows.length} cases, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
