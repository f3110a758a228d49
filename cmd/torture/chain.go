package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

// chain is the harness's own way to the devnet, past all proxies.
type chain struct {
	url      string
	usdc     x402.Address
	domain   evm.Domain
	token    *evm.FiatToken
	client   *evm.Client
	eth      *ethclient.Client
	stranger *evm.Sender // who has nothing to do with any payment
}

func openChain(ctx context.Context, url string, key *wallet.Local) (*chain, error) {
	usdc, domain, _ := x402.USDC(x402.BaseSepolia)
	c := &chain{url: url, usdc: usdc, token: evm.NewFiatToken()}
	var err error
	if c.client, err = evm.Dial(ctx, url, evm.Options{Poll: 50 * time.Millisecond}); err != nil {
		return nil, err
	}
	c.domain = evm.Domain{Domain: domain, ChainID: c.client.ChainID(), Token: usdc}
	if c.eth, err = ethclient.DialContext(ctx, url); err != nil {
		c.client.Close()
		return nil, err
	}
	c.stranger = evm.NewSender(c.client, key, evm.SenderOptions{})
	return c, c.fund(ctx, key.Address(), 1)
}

func (c *chain) close() {
	c.client.Close()
	c.eth.Close()
}

// fund has the faucet give an account USDC, and ether for gas.
func (c *chain) fund(ctx context.Context, to x402.Address, usdc x402.Amount) error {
	body, err := json.Marshal(map[string]string{"address": to.String(), "usdc": usdc.USD()})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/faucet", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the faucet answers %s: %s", resp.Status, answer)
	}
	return nil
}

// cancel cancels an authorization of key's account, which pays the gas as well.
func (c *chain) cancel(ctx context.Context, key *wallet.Local, nonce x402.Bytes32) error {
	separator, from := c.domain.Separator(), key.Address()
	digest := crypto.Keccak256Hash([]byte("\x19\x01"), separator[:], crypto.Keccak256(
		crypto.Keccak256([]byte("CancelAuthorization(address authorizer,bytes32 nonce)")),
		common.LeftPadBytes(from[:], 32), nonce[:]))
	sig, err := key.SignHash(ctx, digest)
	if err != nil {
		return err
	}
	return c.send(ctx, evm.NewSender(c.client, key, evm.SenderOptions{}), c.token.PackCancelAuthorization0(common.Address(from), nonce,
		sig[64], [32]byte(sig[:32]), [32]byte(sig[32:64])))
}

// spend moves USDC of key's account to nobody.
func (c *chain) spend(ctx context.Context, key *wallet.Local, amount x402.Amount) error {
	return c.send(ctx, evm.NewSender(c.client, key, evm.SenderOptions{}), c.token.PackTransfer(nobody, big.NewInt(int64(amount))))
}

// nobody is whom guests give the money that they pretended to pay with.
var nobody = common.Address{19: 1}

func (c *chain) send(ctx context.Context, from *evm.Sender, data []byte) error {
	_, err := from.Send(ctx, evm.Call{To: c.usdc, Data: data, Gas: 200_000})
	return err
}

// broadcast submits a payment as a stranger who has got hold of it.
func (c *chain) broadcast(ctx context.Context, p x402.Payment) error {
	data, err := c.client.PackTransfer(p.Payload.Authorization, p.Payload.Signature)
	if err != nil {
		return err
	}
	return c.send(ctx, c.stranger, data)
}

// transfer is a token transfer that is in a block. Of one by authorization the
// nonce is known.
type transfer struct {
	From, To x402.Address
	Amount   x402.Amount
	Nonce    x402.Bytes32 // zero: an ordinary transfer, or a mint
	Tx       x402.Bytes32
}

// history is all that ever happened to the token.
type history struct {
	transfers []transfer
	used      []authorization // one entry for each use
	cancelled []authorization
}

// authorization names one: the chain lets it be used once.
type authorization struct {
	Payer x402.Address
	Nonce x402.Bytes32
}

func (a authorization) String() string { return a.Payer.String() + "/" + a.Nonce.String() }

// history reads all logs of the token. As the token writes them, the transfer
// of an authorization comes right after its use.
func (c *chain) history(ctx context.Context) (h history, err error) {
	head, err := c.client.Head(ctx)
	if err != nil {
		return h, err
	}
	const step = 200 // blocks a question
	var logs []types.Log
	for from := uint64(0); from <= head.Number; from += step {
		some, err := c.eth.FilterLogs(ctx, ethereum.FilterQuery{
			Addresses: []common.Address{common.Address(c.usdc)},
			FromBlock: new(big.Int).SetUint64(from), ToBlock: new(big.Int).SetUint64(min(from+step-1, head.Number))})
		if err != nil {
			return h, fmt.Errorf("read the token's logs: %w", err)
		}
		logs = append(logs, some...)
	}
	return readLogs(c.token, logs)
}

func readLogs(token *evm.FiatToken, logs []types.Log) (h history, err error) {
	events := token.GetABI().Events
	var last *authorization // if the log before was its use
	for _, log := range logs {
		before := last
		last = nil
		if len(log.Topics) == 0 {
			continue
		}
		switch log.Topics[0] {
		case events["AuthorizationUsed"].ID, events["AuthorizationCanceled"].ID:
			a := authorization{x402.Address(log.Topics[1][12:]), x402.Bytes32(log.Topics[2])}
			if log.Topics[0] == events["AuthorizationCanceled"].ID {
				h.cancelled = append(h.cancelled, a)
				continue
			}
			h.used = append(h.used, a)
			last = &a
		case events["Transfer"].ID:
			e, err := token.UnpackTransferEvent(&log)
			if err != nil {
				return h, fmt.Errorf("read a transfer of transaction %s: %w", log.TxHash, err)
			}
			t := transfer{From: x402.Address(e.From), To: x402.Address(e.To), Amount: x402.Amount(e.Value.Int64()), Tx: x402.Bytes32(log.TxHash)}
			if before != nil && before.Payer == t.From {
				t.Nonce = before.Nonce
			}
			h.transfers = append(h.transfers, t)
		}
	}
	return h, nil
}

// accounts returns everybody who ever sent or received USDC.
func (h history) accounts() []x402.Address {
	seen := map[x402.Address]bool{{}: true} // who mints is nobody
	for _, t := range h.transfers {
		seen[t.From], seen[t.To] = true, true
	}
	delete(seen, x402.Address{})
	all := make([]x402.Address, 0, len(seen))
	for a := range seen {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b x402.Address) int { return bytes.Compare(a[:], b[:]) })
	return all
}

// balances asks the chain what everybody has.
func (c *chain) balances(ctx context.Context, of []x402.Address) (map[x402.Address]x402.Amount, error) {
	all := map[x402.Address]x402.Amount{}
	for _, a := range of {
		n, err := c.client.Balance(ctx, c.usdc, a)
		if err != nil {
			return nil, err
		}
		if all[a], err = n.Amount(); err != nil {
			return nil, err
		}
	}
	return all, nil
}
