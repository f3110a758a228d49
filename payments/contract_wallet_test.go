package payments_test

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/events-concierge/concierge/payments"
	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// contractWallet is a payer who is a contract, on the chain or to be put there
// by deploy. Its owner has gas money and no USDC.
type contractWallet struct {
	owner   guest
	address x402.Address
	deploy  evm.Call
}

// contractWallet returns a wallet with this much USDC that is not deployed yet.
func (n *network) contractWallet(tb testing.TB, usdc x402.Amount, creation []byte, owner guest) contractWallet {
	tb.Helper()
	var salt [32]byte
	if _, err := rand.Read(salt[:]); err != nil {
		tb.Fatal(err)
	}
	address := crypto.CreateAddress2(devnet.DeterministicFactory(), salt, crypto.Keccak256(creation))
	if _, err := n.chain.Fund(tb.Context(), address, usdc); err != nil {
		tb.Fatal(err)
	}
	return contractWallet{owner: owner, address: x402.Address(address),
		deploy: evm.Call{To: x402.Address(devnet.DeterministicFactory()), Data: append(salt[:], creation...), Gas: 2_000_000}}
}

// owned returns a wallet of the usual kind: it approves what its owner signed.
func (n *network) owned(tb testing.TB, usdc x402.Amount) contractWallet {
	tb.Helper()
	file, err := os.ReadFile("devnet/contracts/build/OwnerWallet.bin")
	if err != nil {
		tb.Fatal(err)
	}
	code, err := hex.DecodeString(strings.TrimSpace(string(file)))
	if err != nil {
		tb.Fatal(err)
	}
	owner := n.guest(tb, 0)
	return n.contractWallet(tb, usdc, slices.Concat(code, common.LeftPadBytes(bytesOf(owner.Address()), 32)), owner)
}

// deployed puts the wallet on the chain.
func (c contractWallet) deployed(tb testing.TB) contractWallet {
	tb.Helper()
	if status := testnet.perform(tb, testnet.stranger, c.deploy).Status; status != types.ReceiptStatusSuccessful || !c.isDeployed(tb) {
		tb.Fatal("the wallet is not deployed")
	}
	return c
}

func (c contractWallet) isDeployed(tb testing.TB) bool {
	tb.Helper()
	code, err := testnet.eth.CodeAt(tb.Context(), common.Address(c.address), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return len(code) > 0
}

// setBroken has the owner tell the wallet to refuse everything.
func (c contractWallet) setBroken(tb testing.TB, broken bool) {
	tb.Helper()
	data := append(crypto.Keccak256([]byte("setBroken(bool)"))[:4], make([]byte, 32)...)
	if broken {
		data[35] = 1
	}
	if status := testnet.perform(tb, evm.NewSender(testnet.client, c.owner, evm.SenderOptions{}), evm.Call{To: c.address, Data: data, Gas: 100_000}).Status; status != types.ReceiptStatusSuccessful {
		tb.Fatal("setBroken failed")
	}
}

// from makes it a payment of this wallet: its owner's signature, or what change
// makes of that.
func (c contractWallet) from(tb testing.TB, p *process, o payments.Order, change func(x402.Signature) x402.Signature) func(*x402.Payment) {
	return func(payment *x402.Payment) {
		payment.Payload.Authorization.From = c.address
		payment.Payload.Signature = change(sign(tb, c.owner, p.Quote(o).Accepts[0], payment.Payload.Authorization))
	}
}

func asItIs(s x402.Signature) x402.Signature { return s }

// wrapped adds to a signature how its wallet is deployed (ERC-6492).
func (c contractWallet) wrapped(tb testing.TB) func(x402.Signature) x402.Signature {
	return func(s x402.Signature) x402.Signature { return wrap(tb, s, c.deploy) }
}

func wrap(tb testing.TB, s x402.Signature, deploy evm.Call) x402.Signature {
	tb.Helper()
	wrapped, err := evm.Wrap(s, deploy)
	if err != nil {
		tb.Fatal(err)
	}
	return wrapped
}

// perform has a call mined, whatever comes of it.
func (n *network) perform(tb testing.TB, from *evm.Sender, call evm.Call) *types.Receipt {
	tb.Helper()
	hash, err := from.Send(tb.Context(), call)
	if err != nil {
		tb.Fatal(err)
	}
	n.mined(tb.Context(), hash)
	receipt, err := n.eth.TransactionReceipt(tb.Context(), hash)
	if err != nil {
		tb.Fatal(err)
	}
	return receipt
}

func bytesOf(a x402.Address) []byte { return a[:] }

// Code of wallets that a compiler would not make. It starts at offset 0.
const (
	push0    = "6000"
	yesWord  = "7f1626ba7e" + "00000000000000000000000000000000000000000000000000000000" // PUSH32 the magic value
	answered = push0 + "5260206000f3"                                                    // MSTORE at 0, RETURN 32 bytes
	saysYes  = yesWord + answered
	forever  = "5b600056"                 // JUMPDEST, JUMP to it
	returns  = "62" + "040000" + "6000f3" // 256 KiB of zeros
	reverts  = "62" + "040000" + "6000fd" // the same as a reason
	breaks   = "fe"                       // INVALID
	nothing  = "00"                       // STOP
	mumbles  = yesWord + push0 + "5260046000f3"
	rightPad = "631626ba7e" + answered // PUSH4: at the word's end, where nobody looks
	saysOne  = "6001" + answered       // true
	almost   = "7f1626ba7e" + "00000000000000000000000000000000000000000000000000000001" + answered
	yesAlone = "3a15" + yesWord + "02" + answered                         // yes while gas costs nothing: in a simulation
	yesBurns = "3a602d57" + yesWord + push0 + "5260206000f3" + "5b602d56" // the same, and else all the gas
)

// code is what deploys a contract with this code.
func code(tb testing.TB, runtime string) []byte { return deploying(tb, "", runtime, "") }

// burning is the same, but burns all the gas unless gas costs nothing.
func burning(tb testing.TB, runtime string) []byte {
	end := byte(4 + 10 + len(runtime)/2)
	// GASPRICE, JUMPI to the end; there JUMPDEST, JUMP to it
	return deploying(tb, fmt.Sprintf("3a60%02x57", end), runtime, fmt.Sprintf("5b60%02x56", end))
}

func deploying(tb testing.TB, before, runtime, after string) []byte {
	tb.Helper()
	// PUSH2 size, DUP1, PUSH1 where the code begins, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN
	deploy := fmt.Sprintf("61%04x8060%02x3d393df3", len(runtime)/2, len(before)/2+10)
	raw, err := hex.DecodeString(before + deploy + runtime + after)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// coded returns a wallet with this code.
func (n *network) coded(tb testing.TB, usdc x402.Amount, runtime string) contractWallet {
	tb.Helper()
	return n.contractWallet(tb, usdc, code(tb, runtime), n.guest(tb, 0))
}
