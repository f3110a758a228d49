package evm

import (
	"bytes"
	"fmt"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/x402"
)

// magic6492 is what an ERC-6492 signature ends with.
func magic6492() []byte { return bytes.Repeat([]byte{0x64, 0x92}, 16) }

// Wrap makes an ERC-6492 signature: the wallet's own, with the call that puts
// the wallet on the chain. [Unwrap] undoes it.
func Wrap(inner x402.Signature, deploy Call) (x402.Signature, error) {
	fields, err := fields6492()
	if err != nil {
		return nil, err
	}
	packed, err := fields.Pack(common.Address(deploy.To), deploy.Data, []byte(inner))
	if err != nil {
		return nil, fmt.Errorf("wrap a signature: %w", err)
	}
	return append(packed, magic6492()...), nil
}

// Unwrap takes an ERC-6492 signature apart: the wallet's own, and the call that
// puts the wallet on the chain if it is not there. Any other signature is
// returned as it is, without a call. Errors: [ErrSignature] for a wrapping that
// is damaged, encoded in an unusual way, doubled, or around nothing.
func Unwrap(sig x402.Signature) (inner x402.Signature, deploy *Call, err error) {
	packed, wrapped := bytes.CutSuffix(sig, magic6492())
	if !wrapped {
		return sig, nil, nil
	}
	fields, err := fields6492()
	if err != nil {
		return nil, nil, err
	}
	var into struct {
		Factory common.Address
		Data    []byte
		Inner   []byte
	}
	values, err := fields.Unpack(packed)
	if err == nil {
		err = fields.Copy(&into, values)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: its ERC-6492 wrapping is damaged", ErrSignature)
	}
	deploy = &Call{To: x402.Address(into.Factory), Data: into.Data, Gas: deployGas}
	switch again, err := Wrap(into.Inner, *deploy); {
	case err != nil:
		return nil, nil, err
	case !bytes.Equal(again, sig): // room for other bytes than what it says
		return nil, nil, fmt.Errorf("%w: its ERC-6492 wrapping is not in the standard encoding", ErrSignature)
	case len(into.Inner) == 0:
		return nil, nil, fmt.Errorf("%w: its ERC-6492 wrapping is empty", ErrSignature)
	case bytes.HasSuffix(into.Inner, magic6492()):
		return nil, nil, fmt.Errorf("%w: it has two ERC-6492 wrappings", ErrSignature)
	}
	return into.Inner, deploy, nil
}

// fields6492 are what the wrapping encodes.
func fields6492() (abi.Arguments, error) {
	address, err := abi.NewType("address", "", nil)
	if err != nil {
		return nil, err
	}
	data, err := abi.NewType("bytes", "", nil)
	if err != nil {
		return nil, err
	}
	return abi.Arguments{{Name: "factory", Type: address}, {Name: "data", Type: data}, {Name: "inner", Type: data}}, nil
}
