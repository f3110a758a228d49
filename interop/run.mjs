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

/**
 * Has clients book on a Host, and compares its books with the chain. Its server
 * settles with judge, the reference facilitator, or if there is none by itself.
 */
async function sells(chain, judge) {
  const host = await serve(
    chain,
    judge ? { args: ["--facilitator", judge.url] } : { env: { CONCIERGE_GAS_KEY: (await chain.account(1n)).key } },
  );
  const where = { chain, settler: judge ? reference : "concierge serve" };
  for (const test of [guestCase, ...clientCases]) await report.payment(test.name, where, () => pays(host, test));
  await report.check("the Host's books", where, async () => {
    const logs = await chain.transfers({ to: host.wallet });
    assert.equal(logs.length, host.payments, "transfers and payments");
    const received = logs.reduce((sum, { args }) => sum + args.value, 0n);
    assert.equal(await host.revenue(), received, "revenue and transfers");
    assert.equal(await chain.balance(host.wallet), received, "balance and transfers");
    return `${logs.length} transfers of $${usd(received)} together, which is the Host's revenue and its wallet's balance`;
  });
  if (judge)
    await report.check("what the facilitator was asked", where, async () => {
      const said = judge.judged();
      const logs = await chain.transfers({ to: host.wallet });
      const settled = said.filter(({ task, passed }) => task === "settle" && passed);
      assert.deepEqual(
        settled.map(({ transaction }) => transaction),
        logs.map(({ transactionHash }) => transactionHash),
      );
      assert.equal(said.length, 2 * settled.length, JSON.stringify(said)); // each verified once
      const v1 = settled.filter(({ version }) => version === 1).length;
      return `it passed and settled ${v1} payments of version 1 and ${settled.length - v1} of version 2, and refused none`;
    });
  await host.server.stop();
}

/** Has other people's servers sell with a facilitator of ours. */
async function facilitates(chain, settler, url) {
  const where = { chain, settler };
  await report.payment("@x402/fetch → @x402/express", where, () => overHTTP(chain, url));
  await report.payment("@x402/core v1 → its HTTPFacilitatorClient", where, () => ofVersion1(chain, url));
  await report.check("@x402/fetch without money → @x402/express", where, () => overHTTPWithoutMoney(chain, url));
}

const reference = "reference facilitator";

try {
  const ours = await devnet();
  const theirs = await anvil(ours);
  for (const chain of [ours, theirs]) {
    const judge = await facilitator(chain);
    await sells(chain);
    await sells(chain, judge);
    const where = { chain, settler: reference };
    await report.payment("concierge mcp guest → agents/x402", where, () => toGuest(chain, judge));
    const standalone = await start(concierge, ["facilitator", "--addr", "127.0.0.1:0", ...chain.flags], {
      CONCIERGE_GAS_KEY: (await chain.account(1n)).key,
    });
    await facilitates(chain, "concierge facilitator", standalone.url);
  }
  await facilitates(ours, "concierge devnet", `${ours.url}/facilitator`);
} finally {
  await stopAll();
}

if (report.failed > 0) console.log(`\n${logs()}`);
console.log(`\n${report.table()}\n\n${report.rows.length} cases, ${report.failed} failed`);
process.exit(report.failed > 0 ? 1 : 0);
