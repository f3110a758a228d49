// Package devnet is a chain for people who have none: a real EVM inside this
// process, with Base Sepolia's chain id and a USDC-compatible token at Base
// Sepolia's USDC address, so that any x402 client pays on it unchanged.
//
// [Start] begins a new chain. [Chain.Handler] serves it to the outside
// (JSON-RPC on "POST /", a faucet on "POST /faucet"), [Chain.RPC] to the same
// process by the same way, and [Chain.Fund] gives an account money.
//
// Blocks are made when there is something to put in, and transactions that
// arrive together share one: eth_sendRawTransaction returns when its transaction
// is in the pool, eth_getTransactionReceipt when it has been mined. Somebody who
// asks what time it is on the chain (eth_call, the latest block, …) finds it at
// most two seconds behind the clock, and nothing runs while nobody asks.
//
// It is not a network: it has no peers, no keys of its users, no history after
// a restart, the states of the last 128 blocks only, and no value. It is
// go-ethereum's own node (LGPL-3.0, linked as a library) without its network;
// the contracts are this project's, in the folder contracts.
package devnet

//go:generate npm --prefix contracts ci
//go:generate node contracts/compile.mjs
//go:generate go run github.com/ethereum/go-ethereum/cmd/abigen@v1.17.10 --v2 --abi contracts/build/FiatToken.abi.json --pkg evm --type FiatToken --out ../evm/fiat_token.go
