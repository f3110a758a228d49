package evm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// wrapping is a signature that another implementation wrapped.
type wrapping struct {
	Factory   common.Address
	Data      hexutil.Bytes
	Inner     hexutil.Bytes
	Signature hexutil.Bytes
}

func wrappings(tb testing.TB) map[string]wrapping {
	tb.Helper()
	raw, err := os.ReadFile("testdata/erc6492.json")
	if err != nil {
		tb.Fatal(err)
	}
	var file struct{ Cases map[string]wrapping }
	if err := json.Unmarshal(raw, &file); err != nil || len(file.Cases) == 0 {
		tb.Fatalf("%d cases, %v", len(file.Cases), err)
	}
	return file.Cases
}

func TestWrappingOfOthers(t *testing.T) {
	for name, c := range wrappings(t) {
		t.Run(name, func(t *testing.T) {
			inner, deploy, err := evm.Unwrap(x402.Signature(c.Signature))
			if err != nil || deploy == nil || common.Address(deploy.To) != c.Factory || !bytes.Equal(deploy.Data, c.Data) || !bytes.Equal(inner, c.Inner) {
				t.Fatalf("unwrapped: %x, %+v, %v", inner, deploy, err)
			}
			again, err := evm.Wrap(inner, *deploy)
			if err != nil || !bytes.Equal(again, c.Signature) {
				t.Errorf("wrapped: %x, %v", again, err)
			}
		})
	}
}

func TestUnwrapRefuses(t *testing.T) {
	magic := bytes.Repeat([]byte{0x64, 0x92}, 16)
	good := x402.Signature(wrappings(t)["an owner's 65 bytes"].Signature)
	body := good[:len(good)-32]
	changed := func(at int, to byte) x402.Signature {
		sig := bytes.Clone(good)
		sig[at] = to
		return sig
	}
	again, err := evm.Wrap(good, evm.Call{})
	if err != nil {
		t.Fatal(err)
	}
	empty, err := evm.Wrap(nil, evm.Call{Data: []byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	for name, sig := range map[string]x402.Signature{
		"nothing":                    magic,
		"a word":                     slices.Concat(make([]byte, 32), magic),
		"three words":                slices.Concat(make([]byte, 96), magic),
		"all ones":                   slices.Concat(bytes.Repeat([]byte{0xff}, 256), magic),
		"a word more":                slices.Concat(body, make([]byte, 32), magic),
		"a byte more":                slices.Concat(body, []byte{0}, magic),
		"a byte less":                slices.Concat(body[:len(body)-1], magic),
		"cut in front":               good[32:],
		"an address of 21 bytes":     changed(11, 1),
		"an offset far away":         changed(32, 0xff),
		"an offset into the head":    changed(63, 0),
		"both at the same place":     slices.Concat(body[:64], body[32:64], body[96:], magic),
		"a length of almost all":     changed(96, 0xff),
		"padding that is not zero":   changed(len(body)-1, 1),
		"wrapped twice":              again,
		"wrapped around nothing":     empty,
		"the magic and then nothing": slices.Concat(make([]byte, 128), magic),
	} {
		t.Run(name, func(t *testing.T) {
			inner, deploy, err := evm.Unwrap(sig)
			if !errors.Is(err, evm.ErrSignature) || inner != nil || deploy != nil {
				t.Errorf("%x, %+v, %v", inner, deploy, err)
			}
		})
	}
}

// Without the wrapping a signature is nobody's business but the wallet's.
func TestUnwrapLeavesAlone(t *testing.T) {
	magic := bytes.Repeat([]byte{0x64, 0x92}, 16)
	for name, sig := range map[string]x402.Signature{
		"ordinary": make([]byte, 65), "empty": {}, "long": make([]byte, 5000), "magic in front": append(magic, 0), "half the magic": magic[16:],
	} {
		if inner, deploy, err := evm.Unwrap(sig); err != nil || deploy != nil || !bytes.Equal(inner, sig) {
			t.Errorf("%s: %x, %+v, %v", name, inner, deploy, err)
		}
	}
}

// Of all that anybody may send only what wraps again to the same bytes is
// unwrapped.
func FuzzUnwrap(f *testing.F) {
	magic := bytes.Repeat([]byte{0x64, 0x92}, 16)
	for _, c := range wrappings(f) {
		f.Add([]byte(c.Signature[:len(c.Signature)-32]))
	}
	f.Add(bytes.Repeat([]byte{0xff}, 256))
	f.Fuzz(func(t *testing.T, body []byte) {
		sig := slices.Concat(body, magic)
		inner, deploy, err := evm.Unwrap(sig)
		if err != nil {
			if !errors.Is(err, evm.ErrSignature) || inner != nil || deploy != nil {
				t.Errorf("%x, %+v, %v", inner, deploy, err)
			}
			return
		}
		again, err := evm.Wrap(inner, *deploy)
		if err != nil || !bytes.Equal(again, sig) {
			t.Errorf("it wraps to %x, %v", again, err)
		}
	})
}
