// Other implementations of x402 and MCP against bin/concierge (`make interop`):
// everything runs here, on 127.0.0.1, with money that is worth nothing. Prints what
// was paid and the transfer that the chain has of it; exits with 1 on any difference.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { anvil, devnet, usd } from "./chain.mjs";
import { clientCases, pays } from "./clients.mjs";
import { guestCase } from "./guest.mjs";
import { serve } from "./host.mjs";
import { concierge, logs, start, stopAll } from "./process.mjs";
import { facilitator } from "./reference.mjs";
import { Report } from "./report.mjs";
import { ofVersion1, overHTTP, overHTTPWithoutMoney, toGuest } from "./sales.mjs";

const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
console.log(`node ${process.versions.node}, ${Object.entries(dependencies).map((d) => d.join(" ")).join(", ")}\n`);

const report = new Report();

/** Has clients book on a Host of a server that settles by settler, then compares its books with the chain. */
async function sells(chain, settler, options, cases) {
  const host = await serve(chain, options);
  const where = { chain, settler };
  for (const test of cases) await report.payment(test.name, where, () => pays(host, test));
  await report.check("the Host's books", where, async () => {
    const logs = await chain.transfers({ to: host.wallet });
    assert.equal(logs.length, host.payments, "transfers and payments");
    const received = logs.reduce((sum, { args }) => sum + args.value, 0n);
    assert.equal(await host.revenue(), received, "revenue and transfers");
    assert.equal(await chain.balance(host.wallet), received, "balance and transfers");
    return `${logs.length} transfers of $${usd(received)} together, which is the Host's revenue and its wallet's balance`;
  });
  await host.server.stop();
}

const gas = async (chain) => ({ CONCIERGE_GAS_KEY: (await chain.account(1n)).key });
const cases = [guestCase, ...clientCases];

try {
  const ours = await devnet();
  const theirs = await anvil(ours);
  for (const chain of [ours, theirs]) {
    await sells(chain, "concierge serve", { env: await gas(chain) }, cases);

    const judge = await facilitator(chain);
    const judged = { chain, settler: "reference facilitator" };
    await report.payment("concierge mcp guest → agents/x402", judged, () => toGuest(chain, judge));
  }
} finally {
  await stopAll();
}

if (report.failed > 0) console.log(`\n${logs()}`);
console.log(`\n${report.table()}\n\n${report.rows.length} cases, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
