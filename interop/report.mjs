// What is checked, and the table of what came of it.

import { usd } from "./chain.mjs";

const limit = 90_000; // ms for one check, on a busy machine

export class Report {
  rows = [];

  get failed() {
    return this.rows.filter(({ outcome }) => outcome !== "ok").length;
  }

  /**
   * Carries out a check, which returns what to print, or throws. where is the
   * chain, and the settler's name, if there is money in it.
   */
  async check(name, where, check) {
    const row = { name, ...where, outcome: "FAILED" };
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
  payment(name, where, pay) {
    return this.check(name, where, async (row) => {
      const payment = await pay();
      const { args, transactionHash, blockNumber } = await where.chain.found(payment);
      Object.assign(row, { paid: `$${usd(payment.amount)}`, transaction: transactionHash });
      return (
        `paid  $${usd(payment.amount)} to ${payment.payTo}\n` +
        `found Transfer(${args.from}, ${args.to}, ${args.value}) in ${transactionHash}, block ${blockNumber}`
      );
    });
  }

  table() {
    const rows = this.rows.toSorted((a, b) => nameOf(a.chain).localeCompare(nameOf(b.chain))); // which go on side by side
    const lines = [
      ["case", "settled by", "chain", "paid", "transfer found in", "outcome"],
      ...rows.map((r) => [r.name, r.settler ?? "", nameOf(r.chain), r.paid ?? "", r.transaction ?? "", r.outcome]),
    ];
    const width = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
    return lines.map((line) => line.map((cell, column) => cell.padEnd(width[column])).join("  ").trimEnd()).join("\n");
  }
}

const nameOf = (chain) => chain?.name ?? "";

function print(outcome, { name, settler, chain }, text) {
  const where = chain ? `; ${settler} on ${chain.name}` : "";
  console.log(`${outcome.padEnd(6)}  ${name}${where}\n${text.replace(/^/gm, "        ")}`);
}
