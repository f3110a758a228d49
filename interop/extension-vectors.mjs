// Writes payments/x402/testdata/x402-extensions.json: the extensions as the npm
// packages have them, with the clock, the identifier and the public test key of
// that folder fixed.

import { writeFileSync } from "node:fs";
import { x402Client } from "@x402/core/client";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import {
  appendPaymentIdentifierToExtensions,
  createEIP712OfferReceiptIssuer,
  createOfferReceiptExtension,
  declarePaymentIdentifierExtension,
  hashOfferTypedData,
  hashReceiptTypedData,
} from "@x402/extensions";
import { privateKeyToAccount } from "viem/accounts";

const now = 1_750_000_000;
Date.now = () => now * 1000;

const key = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const account = privateKeyToAccount(key);
const network = "eip155:84532";
const resource = { url: "mcp://tool/rsvp_to_event?event=e1&seats=2&user=u1" };
const requirement = {
  scheme: "exact",
  network,
  amount: "5000000",
  asset: "0x036CbD53842c5426634e7929541eC2318f3dCF7e",
  payTo: "0x209693Bc6afc0C5328bA36FaF03C514EF312287C",
  maxTimeoutSeconds: 300,
  extra: { name: "USDC", version: "2" },
};
const settled = { success: true, payer: account.address, transaction: `0x${"22".repeat(32)}`, network };

// The seller signs with the payer's key here: one public key is enough.
const issuer = createEIP712OfferReceiptIssuer(`did:pkh:eip155:1:${account.address}`, (data) => account.signTypedData(data));
const seller = createOfferReceiptExtension(issuer);
const receipt = async (declaration) => ({
  ...settled,
  extensions: {
    "offer-receipt": await seller.enrichSettlementResponse(declaration, {
      result: settled,
      transportContext: { request: { adapter: { getUrl: () => resource.url } } },
    }),
  },
});

const required = {
  x402Version: 2,
  resource,
  accepts: [requirement],
  extensions: { "payment-identifier": declarePaymentIdentifierExtension() },
};
required.extensions["offer-receipt"] = await seller.enrichPaymentRequiredResponse(undefined, {
  requirements: required.accepts,
  paymentRequiredResponse: required,
});

const payer = x402Client.fromConfig({ schemes: [{ network, client: new ExactEvmScheme(account) }], spendControls: false });
const echoed = await payer.createPaymentPayload(structuredClone(required));
payer.registerExtension({
  key: "payment-identifier",
  enrichPaymentPayload: (payment) => ({
    ...payment,
    extensions: appendPaymentIdentifierToExtensions(
      structuredClone(payment.extensions),
      "pay_7d5d747be160e280504c099d984bcfe0",
    ),
  }),
});
const identified = await payer.createPaymentPayload(structuredClone(required));

const full = await receipt({ includeTxHash: true });
const vectors = {
  required,
  echoed: echoed.extensions,
  identified: identified.extensions,
  settled: full,
  private: await receipt(),
  offerDigest: hashOfferTypedData(required.extensions["offer-receipt"].info.offers[0].payload),
  receiptDigest: hashReceiptTypedData(full.extensions["offer-receipt"].info.receipt.payload),
};
writeFileSync(
  new URL("../payments/x402/testdata/x402-extensions.json", import.meta.url),
  `${JSON.stringify(vectors, null, 2)}\n`,
);
