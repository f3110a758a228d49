// Sales by other people's servers, which have a facilitator verify and settle them.
// Each returns the payment as Chain.found takes it.

import assert from "node:assert/strict";
import { decodePaymentRequiredHeader, decodePaymentResponseHeader } from "@x402/core/http";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { wrapFetchWithPayment } from "@x402/fetch";
import { parseUnits } from "viem";
import { address, networkV1, usdc } from "./chain.mjs";
import { payer } from "./clients.mjs";
import * as guest from "./guest.mjs";
import { paidTool, resource } from "./reference.mjs";

const funds = 1_000_000n; // atomic units of USDC

/** @x402/fetch buys from @x402/express, with an ordinary account or another. */
export async function overHTTP(chain, facilitatorURL, account) {
  account ??= await chain.account(funds);
  const offer = { payTo: address(), price: "0.05" };
  const shop = await resource(facilitatorURL, offer);
  const answer = await wrapFetchWithPayment(fetch, payer(account))(`${shop.url}/secret`);
  assert.equal(answer.status, 200, await answer.text());
  await shop.stop();
  const receipt = decodePaymentResponseHeader(answer.headers.get("PAYMENT-RESPONSE"));
  return payment(account, offer, receipt.transaction);
}

/** @x402/fetch with an empty wallet: the shop must be told why, and nothing must move. */
export async function overHTTPWithoutMoney(chain, facilitatorURL) {
  const account = await chain.account(1n);
  const shop = await resource(facilitatorURL, { payTo: address(), price: "0.05" });
  const answer = await wrapFetchWithPayment(fetch, payer(account))(`${shop.url}/secret`);
  await shop.stop();
  assert.equal(answer.status, 402);
  const { error } = decodePaymentRequiredHeader(answer.headers.get("PAYMENT-REQUIRED"));
  assert.match(error, /insufficient/);
  assert.equal((await chain.transfers({ from: account.address })).length, 0);
  return `refused as ${error}; no transfer`;
}

/** @x402/core pays with version 1, and the facilitator is asked by @x402/core's client. */
export async function ofVersion1(chain, facilitatorURL) {
  const account = await chain.account(funds);
  const offer = { payTo: address(), price: "0.06" };
  const requirements = {
    scheme: "exact",
    network: networkV1,
    maxAmountRequired: String(parseUnits(offer.price, 6)),
    resource: "https://shop.example/secret",
    description: "",
    mimeType: "application/json",
    payTo: offer.payTo,
    maxTimeoutSeconds: 300,
    asset: usdc,
    extra: { name: "USDC", version: "2" },
  };
  const paid = await payer(account).createPaymentPayload({ x402Version: 1, accepts: [requirements] });
  const facilitator = new HTTPFacilitatorClient({ url: facilitatorURL });
  const verified = await facilitator.verify(paid, requirements);
  assert.deepEqual([verified.isValid, verified.payer], [true, account.address]);
  const settled = await facilitator.settle(paid, requirements);
  assert.deepEqual([settled.success, settled.payer, settled.network], [true, account.address, networkV1]);
  assert.equal((await facilitator.verify(paid, requirements)).isValid, false, "a payment that was used");
  return payment(account, offer, settled.transaction);
}

/**
 * Our Guest buys a tool of another's MCP server, see paidTool; judge is the reference
 * facilitator.
 */
export async function toGuest(chain, judge, seller, generation) {
  const account = await chain.account(funds);
  const offer = { payTo: address(), price: "0.03" };
  const shop = await paidTool(seller, generation, judge.url, offer);
  await guest.call(`${shop.url}/mcp`, account, offer);
  await shop.stop();
  assert.deepEqual(shop.spoken(), [generation]);
  const [verified, settled] = judge.judged();
  assert.deepEqual([verified.task, verified.version, verified.passed], ["verify", 2, true]);
  return payment(account, offer, settled.transaction);
}

const payment = (account, { payTo, price }, transaction) => ({
  payer: account.address,
  payTo,
  amount: parseUnits(price, 6),
  transaction,
});
