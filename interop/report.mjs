// What is checked, and the table of what came of it.

import { usd } from "./chain.mjs";

const limit = 90_000; // ms for one check, on a busy machine

export class Report {
  rows = [];

  get failed() {
    return this.rows.filter(({ outcome }) => outcome !== "ok").length;
  }

  /** Carries out a check, which returns what to print, or throws. */
  async check(name, chain, check) {
    const row = { name, chain: chain.name, outcome: "FAILED" };
    this.rows.push(row);
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no end within ${limit / 1000} s`)), limit);
    });
    try {
      print("ok", row, await Promise.race([check(row), late]));
      row.outcome = "ok";
    } catch (error) {
      print("FAILED", row, error.stack);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Carries out a payment: pay returns it as Chain.found takes it. */
  payment(name, chain, pay) {
    return this.check(name, chain, async (row) => {
      const payment = await pay();
      const { args, transactionHash, blockNumber } = await chain.found(payment);
      Object.assign(row, { paid: `$${usd(payment.amount)}`, transaction: transactionHash });
      return (
        `paid  $${usd(payment.amount)} to ${payment.payTo}\n` +
        `found Transfer(${args.from}, ${args.to}, ${args.value}) in ${transactionHash}, block ${blockNumber}`
      );
    });
  }

  table() {
    const heads = { name: "case", chain: "chain", paid: "paid", transaction: "transaction found", outcome: "outcome" };
    const columns = Object.keys(heads);
    const lines = [heads, ...this.rows];
    const width = (column) => Math.max(...lines.map((line) => (line[column] ?? "").length));
    return lines
      .map((line) => columns.map((column) => (line[column] ?? "").padEnd(width(column))).join("  ").trimEnd())
      .join("\n");
  }
}

function print(outcome, { name, chain }, text) {
  console.log(`${outcome.padEnd(6)}  ${name}, on ${chain}\n${text.replace(/^/gm, "        ")}`);
}
