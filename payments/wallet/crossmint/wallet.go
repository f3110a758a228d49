package crossmint

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/events-concierge/concierge/payments/wallet"
	"github.com/events-concierge/concierge/payments/x402"
)

// Wallet is a smart wallet at Crossmint. It is a [wallet.Signer]; its signatures
// are those of a contract (EIP-1271), or of one that is still to be deployed
// (ERC-6492).
type Wallet struct {
	client  *Client
	address x402.Address
}

// The API's words.
const (
	evmChain     = "evm"
	smart        = "smart"
	apiKeySigner = "api-key"
)

// ownerForm is a user of a Crossmint project, as the API writes one.
var ownerForm = regexp.MustCompile(`^(userId|email|phoneNumber|twitter|x):[!-~]{1,200}$`)

// creation asks for an owner's wallet.
type creation struct {
	ChainType string `json:"chainType"`
	Type      string `json:"type"`
	Config    struct {
		AdminSigner signer `json:"adminSigner"`
	} `json:"config"`
	Owner string `json:"owner"`
}

type signer struct {
	Type string `json:"type"`
}

// created is the wallet that came back.
type created struct {
	ChainType string       `json:"chainType"`
	Type      string       `json:"type"`
	Address   x402.Address `json:"address"`
	Owner     string       `json:"owner"`
	Config    struct {
		AdminSigner signer `json:"adminSigner"`
	} `json:"config"`
}

// Wallet returns the wallet of an owner, such as userId:alice, and makes it if
// there is none: the same owner has the same wallet for ever. Errors:
// [ErrUnavailable].
func (c *Client) Wallet(ctx context.Context, owner string) (*Wallet, error) {
	if !ownerForm.MatchString(owner) {
		return nil, errors.New("not the owner of a Crossmint wallet: want one such as userId:alice")
	}
	ctx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	in := creation{ChainType: evmChain, Type: smart, Owner: owner}
	in.Config.AdminSigner.Type = apiKeySigner
	var got created
	if err := c.call(ctx, "POST", "", once([]byte("wallet"), []byte(owner)), in, &got); err != nil {
		return nil, fmt.Errorf("make or find the wallet: %w", err)
	}
	if err := got.of(owner); err != nil {
		return nil, err
	}
	return c.At(got.Address), nil
}

// of refuses a wallet that is not this owner's, or that the key can't sign for.
func (w created) of(owner string) error {
	switch {
	case w.ChainType != evmChain || w.Type != smart || w.Address.IsZero():
		return errors.New("crossmint: an answer that is no smart wallet of an EVM chain")
	case w.Owner != "" && w.Owner != owner:
		return errors.New("crossmint: the wallet of another owner")
	case w.Config.AdminSigner.Type != apiKeySigner:
		return errors.New("crossmint: the wallet of this owner is signed for by others than the API key; take another owner")
	}
	return nil
}

// At returns the wallet at an address that [Client.Wallet] gave, without asking.
func (c *Client) At(address x402.Address) *Wallet { return &Wallet{c, address} }

// Address implements [wallet.Signer].
func (w *Wallet) Address() x402.Address { return w.address }

// pollEvery is the pause between two looks at a signature.
const pollEvery = 500 * time.Millisecond

// SignAuthorization implements [wallet.Signer]. Errors: [ErrUnavailable], after
// which the signature may exist, known to Crossmint: the same authorization gets
// the same one when it is signed again.
func (w *Wallet) SignAuthorization(ctx context.Context, r x402.Requirements, a x402.Authorization) (x402.Signature, error) {
	domain, err := wallet.Pays(w.address, r, a)
	if err != nil {
		return nil, err
	}
	if r.Network != w.client.Network {
		return nil, fmt.Errorf("sign payment: it is on %s, the wallet signs on %s", r.Network, w.client.Network)
	}
	ctx, cancel := context.WithTimeout(ctx, w.client.Patience)
	defer cancel()
	digest := domain.Digest(a)
	s, err := w.sign(ctx, typedDataOf(domain, a), once([]byte("signature"), w.address[:], digest[:]))
	if err != nil {
		return nil, fmt.Errorf("sign payment: %w", err)
	}
	return s, nil
}

// sign has the wallet sign, and waits until it has.
func (w *Wallet) sign(ctx context.Context, data typedData, key string) (x402.Signature, error) {
	path := "/" + w.address.String() + "/signatures"
	in := request{Type: typedDataType, Params: params{TypedData: data, Chain: w.client.chain, Signer: apiKeySigner}}
	var got signature
	if err := w.client.call(ctx, "POST", path, key, in, &got); err != nil {
		return nil, err
	}
	id := got.ID
	if !idForm.MatchString(id) { // it becomes part of a path
		return nil, errors.New("crossmint: a signature without an id")
	}
	for {
		done, err := got.of(id, in.Params)
		if done || err != nil {
			return got.OutputSignature, err
		}
		if w.client.Pause(ctx, pollEvery) != nil {
			return nil, fmt.Errorf("%w: the signature is still %s", ErrUnavailable, got.Status)
		}
		got = signature{}
		if err := w.client.call(ctx, "GET", path+"/"+id, "", nil, &got); err != nil {
			return nil, err
		}
	}
}
