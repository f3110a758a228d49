// The chains that are paid on, seen through their JSON-RPC alone.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  concat,
  createPublicClient,
  createTestClient,
  createWalletClient,
  formatUnits,
  getCreate2Address,
  http,
  padHex,
  parseAbi,
  parseEther,
  publicActions,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";
import { serializeErc6492Signature } from "viem/utils";
import { concierge, start } from "./process.mjs";

export const network = "eip155:84532";
export const networkV1 = "base-sepolia";
export const usdc = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const multicall = "0xcA11bde05977b3631167028862bE2a173976CA11";
/** Deploys whatever it is sent: 32 bytes of salt and the code, by CREATE2. Both chains have it. */
export const walletFactory = "0x4e59b44847b379578588920cA78FbF26c0B4956C";

/** Creation code of a contract that approves what the owner signed, which it is given. */
export const ownerWalletFile = fileURLToPath(new URL("../payments/devnet/contracts/build/OwnerWallet.bin", import.meta.url));
const ownerWallet = `0x${readFileSync(ownerWalletFile, "utf8").trim()}`;

const token = parseAbi([
  "event Transfer(address indexed from, address indexed to, uint256 value)",
  "function balanceOf(address) view returns (uint256)",
  "function mint(address to, uint256 amount) returns (bool)",
]);
const transferEvent = token[0];

/** Atomic units of USDC as dollars: 50000n is "0.05". */
export function usd(amount) {
  const [dollars, cents = ""] = formatUnits(amount, 6).split(".");
  return `${dollars}.${cents.padEnd(2, "0")}`;
}

/** An address that nobody has used. */
export const address = () => privateKeyToAccount(generatePrivateKey()).address;

class Chain {
  /** network is what our commands call it. */
  constructor(name, network, server) {
    this.name = name;
    this.flags = ["--network", network, "--rpc", server.url, "--wallet-factory", walletFactory];
    this.url = server.url;
    this.client = createPublicClient({ chain: baseSepolia, transport: http(this.url), pollingInterval: 50 });
  }

  /** A new account with that many atomic units of USDC, and ether for gas. */
  async account(amount) {
    const key = generatePrivateKey();
    const account = privateKeyToAccount(key);
    await this.fund(account.address, amount);
    assert.equal(await this.balance(account.address), amount);
    return Object.assign(account, { key });
  }

  /**
   * A smart wallet with that many atomic units of USDC: it signs by EIP-1271, and says
   * by ERC-6492 how it is deployed unless it is already.
   */
  async smartWallet(amount, { deployed }) {
    const owner = await this.account(1n);
    const salt = generatePrivateKey(); // 32 bytes like any
    const code = concat([ownerWallet, padHex(owner.address)]);
    const deployment = { to: walletFactory, data: concat([salt, code]) };
    const address = getCreate2Address({ from: walletFactory, salt, bytecode: code });
    if (deployed) await this.deploy(deployment);
    assert.equal(await this.isDeployed(address), deployed);
    await this.fund(address, amount);
    const wrap = (signature) => serializeErc6492Signature({ address: deployment.to, data: deployment.data, signature });
    return {
      address,
      signTypedData: async (data) => {
        const signature = await owner.signTypedData(data);
        return deployed ? signature : wrap(signature);
      },
    };
  }

  /** Has somebody put a smart wallet on the chain. */
  async deploy(deployment) {
    const hash = await this.wallet(await this.account(1n)).sendTransaction(deployment);
    await this.client.waitForTransactionReceipt({ hash });
  }

  async isDeployed(address) {
    return Boolean(await this.client.getCode({ address }));
  }

  /** A viem client that signs and sends for an account. */
  wallet(account) {
    return createWalletClient({
      account,
      chain: baseSepolia,
      transport: http(this.url),
      pollingInterval: 50,
    }).extend(publicActions);
  }

  balance(address) {
    return this.client.readContract({ address: usdc, abi: token, functionName: "balanceOf", args: [address] });
  }

  /** The logs of all USDC that ever moved from an account, or to one. */
  transfers(args) {
    return this.client.getLogs({ address: usdc, event: transferEvent, args, fromBlock: 0n, strict: true });
  }

  /**
   * Holds a payment against the chain: its payer must have paid exactly once, the
   * amount, to the payee, in the transaction that was named. Returns the log.
   */
  async found({ payer, payTo, amount, transaction }) {
    const logs = await this.transfers({ from: payer });
    assert.equal(logs.length, 1, `${payer} paid ${logs.length} times`);
    const [log] = logs;
    assert.equal(log.args.to.toLowerCase(), payTo.toLowerCase(), "the payee");
    assert.equal(log.args.value, amount, "the amount");
    assert.equal(log.transactionHash, transaction, "the transaction that the payer was told");
    return log;
  }
}

/** `concierge devnet`. */
export async function devnet() {
  const chain = new Chain("devnet", "devnet", await start(concierge, ["devnet", "--addr", "127.0.0.1:0"]));
  chain.fund = async (address, amount) => {
    const answer = await fetch(`${chain.url}/faucet`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ address, usdc: usd(amount) }),
    });
    assert.equal(answer.status, 200, await answer.text());
  };
  return chain;
}

/** anvil, with the contracts of another chain at their addresses. */
export async function anvil(from) {
  const packaged = fileURLToPath(new URL("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil", import.meta.url));
  const chain = new Chain(
    "anvil",
    "base-sepolia",
    await start(existsSync(packaged) ? packaged : "anvil", ["--port", "0", "--chain-id", String(baseSepolia.id), "--accounts", "0"]),
  );
  const steer = createTestClient({ chain: baseSepolia, mode: "anvil", transport: http(chain.url) });
  for (const address of [usdc, multicall])
    await steer.setCode({ address, bytecode: await from.client.getCode({ address }) });
  const minter = privateKeyToAccount(generatePrivateKey());
  await steer.setStorageAt({ address: usdc, index: 0, value: padHex(minter.address) }); // see FiatToken.sol
  await steer.setBalance({ address: minter.address, value: parseEther("1000") });
  const mint = chain.wallet(minter);
  chain.fund = async (address, amount) => {
    await steer.setBalance({ address, value: parseEther("1") });
    const hash = await mint.writeContract({ address: usdc, abi: token, functionName: "mint", args: [address, amount] });
    assert.equal((await mint.waitForTransactionReceipt({ hash })).status, "success");
  };
  /** Does something while no block is made, and then makes one. */
  chain.stopped = async (meanwhile) => {
    await steer.setAutomine(false);
    try {
      await meanwhile();
    } finally {
      await steer.mine({ blocks: 1 });
      await steer.setAutomine(true);
    }
  };
  return chain;
}
