// Crossmint's own SDK, and our client of their API, on our other end of it: that ours
// speaks as Crossmint does is for the SDK to say.

import assert from "node:assert/strict";
import bs58 from "bs58";
import { CrossmintWallets, EVMWallet, createCrossmint } from "@crossmint/wallets-sdk";
import nacl from "tweetnacl";
import { generatePrivateKey } from "viem/accounts";
import { parseErc6492Signature } from "viem/utils";
import { wrapFetchWithPayment } from "@x402/fetch";
import { networkV1 as chainName, ownerWalletFile } from "./chain.mjs";
import { payer } from "./clients.mjs";
import { concierge, crossmint as otherEnd, run, start } from "./process.mjs";

const funds = 1_000_000n; // atomic units of USDC

/**
 * An API key of the form that Crossmint's have: they sign what a key is of. So that
 * the SDK takes ours, whatever it has verified may be signed by us too.
 */
function apiKey() {
  const pair = nacl.sign.keyPair();
  const { verify } = nacl.sign.detached;
  nacl.sign.detached.verify = (message, signature, publicKey) =>
    verify(message, signature, publicKey) || verify(message, signature, pair.publicKey);
  const project = "interop";
  const signature = nacl.sign.detached(new TextEncoder().encode(`sk_staging.${project}`), pair.secretKey);
  return `sk_staging_${bs58.encode(new TextEncoder().encode(`${project}:${bs58.encode(signature)}`))}`;
}

/** The SDK sends its log to Crossmint, and prints it: nothing leaves this machine, and the report is ours. */
function keepLogs() {
  const { fetch } = globalThis;
  globalThis.fetch = async (url, init) =>
    new URL(url.url ?? url).hostname === "telemetry.crossmint.com" ? new Response("{}") : fetch(url, init);
  for (const level of ["debug", "info", "warn"]) {
    const say = console[level];
    console[level] = (text, ...more) => String(text).startsWith("[SDK]") || say(text, ...more);
  }
}

const key = apiKey();
keepLogs();

export class Crossmint {
  /** Starts one whose wallets are on a chain. */
  static async start(chain) {
    const server = await start(otherEnd, ["-rpc", chain.url, "-code", ownerWalletFile], { CROSSMINT_KEY: key });
    const it = new Crossmint();
    it.chain = chain;
    /** What our commands are told of it. */
    it.env = { CONCIERGE_CROSSMINT_KEY: key, CONCIERGE_CROSSMINT_URL: server.url };
    it.sdk = CrossmintWallets.from(createCrossmint({ apiKey: key, overrideBaseUrl: server.url }));
    return it;
  }

  /** An owner's wallet as the SDK has it. */
  async wallet(owner) {
    const recovery = { type: "api-key" };
    return EVMWallet.from(await this.sdk.createWallet({ chain: chainName, owner, recovery }));
  }

  /** A wallet with money that pays as the x402 clients want it. */
  async account({ deployed }) {
    const owner = newOwner();
    const wallet = await this.wallet(owner);
    assert.equal((await this.wallet(owner)).address, wallet.address, "the same owner has the same wallet");
    const signTypedData = async (data) => (await wallet.signTypedData({ ...data, chain: chainName })).signature;
    if (deployed) await this.chain.deploy(await deploymentOf(signTypedData));
    assert.equal(await this.chain.isDeployed(wallet.address), deployed);
    await this.chain.fund(wallet.address, funds);
    return { address: wallet.address, signTypedData };
  }

  /** The cases, as those of clients.mjs. */
  cases() {
    const byTheSDK = async (host, account, event) => {
      const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
      const answer = await wrapFetchWithPayment(fetch, payer(account))(host.rsvps(event), init);
      const text = await answer.text();
      assert.equal(answer.status, 201, text);
      return JSON.parse(text);
    };
    return [
      { name: "@crossmint/wallets-sdk, not deployed", price: "0.21", account: () => this.account({ deployed: false }), book: byTheSDK },
      { name: "@crossmint/wallets-sdk, deployed", price: "0.22", account: () => this.account({ deployed: true }), book: byTheSDK },
      {
        name: "concierge guest book, at Crossmint",
        price: "0.23",
        account: async () => {
          const owner = newOwner();
          const { address } = await this.ours(owner);
          await this.chain.fund(address, funds);
          return { owner, address };
        },
        book: async (host, { owner }, event) => {
          const args = ["guest", "book", event, "--host", host.mcp, "--wallet", `crossmint:${owner}`, "--json"];
          return JSON.parse(await run(concierge, args, this.env)).rsvp;
        },
      },
    ];
  }

  /** An owner's wallet as `concierge guest wallet` has it. */
  async ours(owner) {
    return JSON.parse(await run(concierge, ["guest", "wallet", "--wallet", `crossmint:${owner}`, "--json"], this.env));
  }

  /** Wants the SDK and ours to find the same wallets, a Guest's and a Host's. */
  async agrees(host) {
    const owner = newOwner();
    const { address } = await this.ours(owner);
    assert.equal((await this.wallet(owner)).address, address);
    for (const [locator, expected] of [
      [`${owner}:evm:smart`, address],
      [address, address],
      [`userId:${host.user}:evm:smart`, host.wallet],
    ])
      assert.equal((await this.sdk.getWallet(locator, { chain: chainName })).address, expected, locator);
    await assert.rejects(this.sdk.getWallet(newOwner(), { chain: chainName }), /not found/);
    return `the Host is paid at ${host.wallet}, which the SDK finds as the wallet of userId:${host.user}`;
  }
}

const newOwner = () => `userId:${generatePrivateKey().slice(2, 14)}`;

/** How a wallet is deployed: a signature of it says so. */
async function deploymentOf(signTypedData) {
  const signature = await signTypedData({
    domain: { name: "interop", version: "1", chainId: 84532, verifyingContract: "0x0000000000000000000000000000000000000001" },
    types: { Hello: [{ name: "to", type: "string" }] },
    primaryType: "Hello",
    message: { to: "the chain" },
  });
  const { address, data } = parseErc6492Signature(signature);
  return { to: address, data };
}
