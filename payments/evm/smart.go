package evm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/x402"
)

// ErrFactory refuses a wallet that is not on the chain, and whose factory is
// not one that is called here. It is an [ErrSignature].
var ErrFactory = fmt.Errorf("%w: the payer's wallet is not deployed, and its factory is not an allowed one", ErrSignature)

// Gas limits. What is not used is returned; what a bad wallet uses is lost.
const (
	// transferGas is for the transfer of an ordinary account. It needs about
	// 68,000, 85,000 for a payee who has no balance yet.
	transferGas = 150_000
	// walletGas is for one that a wallet has to approve: a passkey's signature
	// takes up to 300,000 where the chain does not check it by itself.
	walletGas = 400_000
	// deployGas is for deploying a wallet: 150,000 to 500,000.
	deployGas = 800_000
)

// isValidSignature is EIP-1271's question.
func isValidSignature(digest common.Hash, sig x402.Signature) []byte {
	offset, length := big.NewInt(64), big.NewInt(int64(len(sig)))
	return slices.Concat(magic1271(), digest[:], common.BigToHash(offset).Bytes(), common.BigToHash(length).Bytes(),
		common.RightPadBytes(sig, (len(sig)+31)/32*32))
}

// magic1271 is what a wallet answers for yes, the selector of isValidSignature.
func magic1271() []byte { return []byte{0x16, 0x26, 0xba, 0x7e} }

// WalletFactories returns the factories of well-known smart wallets. They have
// the same address on Base, Base Sepolia and most other chains.
//
// A factory is called by Multicall3, which owns nothing, so that what it does
// can waste the gas of the call and nothing else. Those of Safe and Kernel do
// let a wallet run any code while it is made; those of Coinbase and Alchemy
// don't. Biconomy's Nexus is left out: between versions 1.2.0 and 1.3.2 others
// can take a wallet over while it is deployed (GHSA-q47q-h6x2-f5qg).
func WalletFactories() []x402.Address {
	var all []x402.Address
	for _, written := range []string{
		// Coinbase Smart Wallet 1 and 1.1: README and releases of github.com/coinbase/smart-wallet; viem has both.
		"0x0BA5ED0c6AA8c49038F819E587E2633c4A9F428a",
		"0xBA5ED110eFDBa3D005bfC882d75358ACBbB85842",
		// Safe 1.4.1: safe_proxy_factory.json of github.com/safe-global/safe-deployments, with 8453 and 84532.
		"0x4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67",
		// Kernel 3 (ZeroDev), "Meta Factory", which deploys through factories that its owner approved:
		// README of github.com/zerodevapp/kernel.
		"0xd703aaE79538628d27099B8c4f621bE4CCd142d5",
		// Alchemy: Light Account 1.1.0 and 2.0.0, Modular Account 2.0.0 and its WebAuthn factory 2.0.1:
		// alchemy.com/docs, "Factory Addresses" and "Smart contract deployments".
		"0x00004EC70002a32400f8ae005A26081065620D20",
		"0x0000000000400CdFef5E2714E63d8040b700BC24",
		"0x00000000000017c61b5bEe81050EC8eFc9c6fecd",
		"0x55010E571dCf07e254994bfc88b9C1C8FAe31960",
	} {
		address, err := x402.ParseAddress(written)
		if err != nil {
			panic(err)
		}
		all = append(all, address)
	}
	return all
}

// Signed asks the chain whether from's wallet takes sig as its signature of
// digest (EIP-1271). A wallet that is not deployed yet is asked in a simulation
// that deploys it, if sig says how (ERC-6492) and its factory is an allowed one.
// Errors: [ErrSignature] if it does not; any other means that it is not known.
//
// An ordinary account's signature needs no chain, see [SignedBy]; here nobody
// would answer for it.
func (c *Client) Signed(ctx context.Context, from x402.Address, digest common.Hash, sig x402.Signature) error {
	inner, deploy, err := Unwrap(sig)
	if err != nil {
		return err
	}
	ask := Call{To: from, Data: isValidSignature(digest, inner), Gas: walletGas}
	calls := []Call{ask}
	if allowed := deploy != nil && slices.Contains(c.factories, deploy.To); allowed {
		calls = around(*deploy, ask)
	}
	results, err := c.try(ctx, x402.Address{}, calls...)
	if err != nil && !errors.Is(err, ErrReverted) {
		return fmt.Errorf("ask the payer's wallet: %w", err)
	}
	yes := common.RightPadBytes(magic1271(), 32) // the whole word counts, as it does for the token
	for i, r := range results {
		if calls[i].same(ask) && r.Success && bytes.HasPrefix(r.ReturnData, yes) {
			return nil
		}
	}
	if nobody := len(results) == 1 && len(results[0].ReturnData) == 0; nobody && deploy != nil {
		return ErrFactory
	}
	return fmt.Errorf("%w: %s has not signed it", ErrSignature, from)
}

// around is a call of a wallet, its deployment, and the call again. If somebody
// deploys it first, the deployment may use up all the gas: a CREATE2 does where
// there is a contract already.
func around(deploy, call Call) []Call { return []Call{call, deploy, call} }

// Settlement returns the calls that use an authorization: the transfer, once,
// or before and after the deployment of a wallet that is not there yet. Whether
// they work is for [Client.Simulate] to say. Errors: [ErrSignature]; any other means that the
// chain could not be asked.
func (c *Client) Settlement(ctx context.Context, d Domain, a x402.Authorization, sig x402.Signature) ([]Call, error) {
	data, err := c.PackTransfer(a, sig)
	if err != nil {
		return nil, err
	}
	digest := d.Digest(a)
	if SignedBy(a.From, digest, sig) {
		return []Call{{To: d.Token, Data: data, Gas: transferGas, Signer: a.From}}, nil
	}
	transfer := Call{To: d.Token, Data: data, Gas: walletGas}
	inner, deploy, err := Unwrap(sig)
	if err != nil || deploy == nil {
		return []Call{transfer}, err
	}
	code, err := c.eth.CodeAt(ctx, common.Address(a.From), nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask the chain for the payer's wallet: %w", err)
	case len(code) > 0:
		return []Call{transfer}, nil
	case !slices.Contains(c.factories, deploy.To):
		return nil, ErrFactory
	case SignedBy(a.From, digest, inner):
		// The transfer would work, whatever the factory is made to deploy.
		return nil, fmt.Errorf("%w: an ordinary account's needs no ERC-6492 wrapping", ErrSignature)
	}
	return around(*deploy, transfer), nil
}
