// x402's extensions, as @x402/extensions has them, on a server of ours that
// signs: bin/concierge serve --sign-receipts.

import assert from "node:assert/strict";
import { x402Client } from "@x402/core/client";
import { decodePaymentRequiredHeader, decodePaymentResponseHeader, encodePaymentSignatureHeader } from "@x402/core/http";
import { ExactEvmScheme } from "@x402/evm/exact/client";
import {
  appendPaymentIdentifierToExtensions,
  decodeSignedOffers,
  extractOffersFromPaymentRequired,
  extractReceiptFromResponse,
  findAcceptsObjectFromSignedOffer,
  generatePaymentId,
  verifyOfferSignatureEIP712,
  verifyReceiptMatchesOffer,
  verifyReceiptSignatureEIP712,
} from "@x402/extensions";
import { network } from "./chain.mjs";

/** Asks to book, or books with a payment. */
const book = (host, event, seats, payment) =>
  fetch(host.rsvps(event), {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(payment && { "PAYMENT-SIGNATURE": encodePaymentSignatureHeader(payment) }),
    },
    body: JSON.stringify({ seats }),
  });

/** Wants the price of an event. */
async function required(host, event, seats) {
  const answer = await book(host, event, seats);
  assert.equal(answer.status, 402);
  return decodePaymentRequiredHeader(answer.headers.get("PAYMENT-REQUIRED"));
}

/** Signs a payment, under an identifier if there is one. */
async function sign(account, asked, id) {
  const client = x402Client.fromConfig({ schemes: [{ network, client: new ExactEvmScheme(account) }], spendControls: false });
  if (id)
    client.registerExtension({
      key: "payment-identifier",
      enrichPaymentPayload: (payment) => ({
        ...payment,
        extensions: appendPaymentIdentifierToExtensions(structuredClone(payment.extensions), id),
      }),
    });
  return client.createPaymentPayload(asked);
}

/** Wants an answer of the given status, and returns what is in it. */
async function wants(status, answer) {
  const text = await answer.text();
  assert.equal(answer.status, status, text);
  return JSON.parse(text);
}

/** The cases, in the form of those in clients.mjs. */
export const extensionCases = [
  {
    name: "@x402/extensions payment-identifier",
    price: "0.15",
    book: async (host, account, event, seats) => {
      const asked = await required(host, event, seats);
      const id = generatePaymentId();
      const payment = await sign(account, asked, id);
      assert.equal(payment.extensions["payment-identifier"].info.id, id);
      const rsvp = await wants(201, await book(host, event, seats, payment));
      // The same again is answered as before; another payment under the identifier
      // is a conflict, and the payment without it is nobody's.
      assert.deepEqual(await wants(201, await book(host, event, seats, payment)), rsvp);
      const conflict = await wants(409, await book(host, event, seats, await sign(account, asked, id)));
      assert.match(conflict.detail, /^Conflict/);
      const { extensions, ...stolen } = payment;
      assert.equal((await wants(409, await book(host, event, seats, stolen))).code, "payment_already_used");
      return rsvp;
    },
  },
  {
    name: "@x402/extensions offer-receipt",
    price: "0.16",
    seats: 2,
    book: async (host, account, event, seats) => {
      const asked = await required(host, event, seats);
      const [offer] = extractOffersFromPaymentRequired(asked);
      assert.equal((await verifyOfferSignatureEIP712(offer)).signer, host.wallet);
      assert.equal(findAcceptsObjectFromSignedOffer(offer, asked.accepts), asked.accepts[0]);
      const answer = await book(host, event, seats, await sign(account, asked));
      const rsvp = await wants(201, answer);
      const receipt = extractReceiptFromResponse(answer);
      const { signer, payload } = await verifyReceiptSignatureEIP712(receipt);
      assert.equal(signer, host.wallet);
      assert.equal(payload.transaction, rsvp.transaction);
      assert.ok(verifyReceiptMatchesOffer(receipt, decodeSignedOffers([offer])[0], [account.address]));
      assert.equal(decodePaymentResponseHeader(answer.headers.get("PAYMENT-RESPONSE")).transaction, rsvp.transaction);
      return rsvp;
    },
  },
];
