// Other implementations of x402 and MCP against bin/concierge (`make interop`):
// everything runs here, on 127.0.0.1, with money that is worth nothing. Prints what
// was paid and the transfer that the chain has of it; exits with 1 on any difference.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { devnet, usd } from "./chain.mjs";
import { clientCases, pays } from "./clients.mjs";
import { serve } from "./host.mjs";
import { cleanUp } from "./process.mjs";
import { Report } from "./report.mjs";

const { dependencies } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
console.log(`node ${process.versions.node}, ${Object.entries(dependencies).map((d) => d.join(" ")).join(", ")}\n`);

const report = new Report();

/** A Host's books must be what the chain has. */
const books = (host) =>
  report.check("the Host's books", host.chain, async () => {
    const logs = await host.chain.transfers({ to: host.wallet });
    assert.equal(logs.length, host.payments, "transfers and payments");
    const received = logs.reduce((sum, { args }) => sum + args.value, 0n);
    assert.equal(await host.revenue(), received, "revenue and transfers");
    assert.equal(await host.chain.balance(host.wallet), received, "balance and transfers");
    return `${logs.length} transfers of $${usd(received)} together, which is the Host's revenue and its wallet's balance`;
  });

try {
  const embedded = await devnet();

  const host = await serve(embedded);
  for (const test of clientCases) await report.payment(test.name, embedded, () => pays(host, test));
  await books(host);
  await host.server.stop();
} finally {
  await cleanUp();
}

console.log(`\n${report.table()}\n\n${report.rows.length} cases, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
