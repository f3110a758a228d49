// Compiles the contracts of this folder with the solc of package.json:
//
//   node compile.mjs [output folder, default "build" beside this file]
//
// writes <Name>.abi.json, and <Name>.bin: the runtime code, which the genesis block
// places, or for a contract with a constructor the creation code. The output depends on
// nothing but the sources and the pinned compiler, so it is committed and compared.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "build"));

const contracts = [
  { name: "FiatToken", code: "deployedBytecode" },
  { name: "Multicall3", code: "deployedBytecode" },
  { name: "OwnerWallet", code: "bytecode" },
];

const input = {
  language: "Solidity",
  sources: Object.fromEntries(
    contracts.map(({ name }) => [
      `${name}.sol`,
      { content: readFileSync(join(here, `${name}.sol`), "utf8") },
    ]),
  ),
  settings: {
    evmVersion: "cancun", // the devnet's rules (genesis.go) include it
    optimizer: { enabled: true, runs: 10000 },
    metadata: { appendCBOR: false, bytecodeHash: "none" },
    outputSelection: {
      "*": { "*": ["abi", ...contracts.map(({ code }) => `evm.${code}.object`)] },
    },
  },
};

const output = JSON.parse(solc.compile(JSON.stringify(input)));
const complaints = output.errors ?? [];
for (const { formattedMessage } of complaints) console.error(formattedMessage);
if (complaints.length > 0) process.exit(1); // warnings too: there are none to get used to

mkdirSync(out, { recursive: true });
for (const { name, code } of contracts) {
  const { abi, evm } = output.contracts[`${name}.sol`][name];
  // Go tells overloads apart by their order (Transfer…, Transfer…0): shortest first, so
  // that the one-piece signature always has the plain name and v, r, s the 0.
  abi.sort((a, b) => (a.inputs?.length ?? 0) - (b.inputs?.length ?? 0));
  writeFileSync(join(out, `${name}.abi.json`), JSON.stringify(abi, null, 1) + "\n");
  writeFileSync(join(out, `${name}.bin`), evm[code].object + "\n");
}
