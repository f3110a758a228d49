package x402

import (
	"encoding/json"
	"fmt"
)

// DecodeRequired reads a request for payment of version 1 or 2 and returns it
// in the shape of version 2; its X402Version tells which it was. Entries of
// another scheme, kind of network or transfer method than EIP-3009 are left out,
// for they can't be paid here; if none remains the error is [ErrScheme].
func DecodeRequired(raw []byte) (PaymentRequired, error) {
	p, err := decodeRequired(raw)
	if err != nil {
		return PaymentRequired{}, fmt.Errorf("payment request: %w", err)
	}
	return p, nil
}

func decodeRequired(raw []byte) (p PaymentRequired, err error) {
	if p.X402Version, err = decodeVersion(raw, MaxRequired); err != nil {
		return p, err
	}
	var w struct {
		Error   string            `json:"error"`
		Accepts []json.RawMessage `json:"accepts"`
	}
	if err := unmarshal(raw, &w); err != nil {
		return p, err
	}
	if p.X402Version == 2 {
		if err := p.besideAccepts(raw); err != nil {
			return p, err
		}
	}
	if len(w.Accepts) == 0 {
		return p, fmt.Errorf("%w: accepts", ErrMissing)
	}
	if len(w.Accepts) > maxAccepts {
		return p, fmt.Errorf("%w: %d entries in accepts", ErrTooLarge, len(w.Accepts))
	}
	p.Error = w.Error
	for i, entry := range w.Accepts {
		r, foreign, err := p.entry(entry)
		if err != nil {
			return p, fmt.Errorf("accepts[%d]: %w", i, err)
		}
		if !foreign {
			p.Accepts = append(p.Accepts, r)
			p.Raw = append(p.Raw, entry)
		}
	}
	if len(p.Accepts) == 0 {
		return p, fmt.Errorf("%w: nothing in accepts is scheme %q on an EVM network", ErrScheme, SchemeExact)
	}
	return p, nil
}

// besideAccepts reads what version 2 says once for all entries.
func (p *PaymentRequired) besideAccepts(raw []byte) (err error) {
	var w struct {
		Resource   *Resource       `json:"resource"`
		Extensions json.RawMessage `json:"extensions"`
	}
	if err := unmarshal(raw, &w); err != nil {
		return err
	}
	if err := required("resource", w.Resource, &p.Resource); err != nil {
		return err
	}
	p.Extensions, err = extensions(w.Extensions)
	return err
}

// entry reads one way to pay. It is foreign when its scheme, its kind of
// network or its way to move the token is not one of ours: its other members
// may then have any form.
func (p *PaymentRequired) entry(raw json.RawMessage) (r Requirements, foreign bool, err error) {
	var kind struct {
		Scheme  string          `json:"scheme"`
		Network string          `json:"network"`
		Extra   json.RawMessage `json:"extra"`
	}
	if err := unmarshal(raw, &kind); err != nil {
		return r, false, err
	}
	_, err = ParseNetwork(kind.Network)
	if p.X402Version == 1 {
		_, err = NetworkV1(kind.Network)
	}
	if kind.Scheme != SchemeExact || err != nil || !byEIP3009(kind.Extra) {
		return r, true, nil
	}
	if p.X402Version == 2 {
		r, err = requirementsV2(raw)
		return r, false, err
	}
	r, resource, err := requirementsV1(raw)
	if err == nil && len(p.Accepts) == 0 { // version 1 repeats it in every entry
		p.Resource = resource
	}
	return r, false, err
}

func requirementsV2(raw json.RawMessage) (Requirements, error) {
	var w wireRequirement
	if err := unmarshal(raw, &w); err != nil {
		return Requirements{}, err
	}
	return w.requirements()
}

func requirementsV1(raw json.RawMessage) (r Requirements, resource Resource, err error) {
	var w struct {
		wireRequirement
		Network     *string         `json:"network"` // a name, not CAIP-2
		Amount      json.RawMessage `json:"amount"`  // means nothing here
		MaxAmount   *Uint256        `json:"maxAmountRequired"`
		Resource    string          `json:"resource"`
		Description string          `json:"description"`
		MimeType    string          `json:"mimeType"`
	}
	if err := unmarshal(raw, &w); err != nil {
		return r, resource, err
	}
	var name string
	if err := required("network", w.Network, &name); err != nil {
		return r, resource, err
	}
	network, err := NetworkV1(name)
	if err != nil {
		return r, resource, err
	}
	w.wireRequirement.Network, w.wireRequirement.Amount = &network, w.MaxAmount
	r, err = w.requirements()
	return r, Resource{URL: w.Resource, Description: w.Description, MimeType: w.MimeType}, err
}

// byEIP3009 reports whether an entry's `extra` leaves the token to be moved by
// EIP-3009. @x402/evm also knows "permit2", for tokens that lack it.
func byEIP3009(extra json.RawMessage) bool {
	var w struct {
		Method any `json:"assetTransferMethod"`
	}
	return json.Unmarshal(extra, &w) != nil || w.Method == nil || w.Method == "eip3009"
}

// DecodeRequiredHeader reads the value of version 2's PAYMENT-REQUIRED header.
func DecodeRequiredHeader(value string) (PaymentRequired, error) {
	raw, err := decodeBase64(value, MaxRequired)
	if err != nil {
		return PaymentRequired{}, fmt.Errorf("payment request: %w", err)
	}
	return DecodeRequired(raw)
}
