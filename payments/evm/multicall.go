package evm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/x402"
)

// multicall3 is where Multicall3 is, on every chain that has it.
var multicall3 = x402.Address(common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11"))

// call3 and result3 are what its aggregate3 takes and answers.
type (
	call3 struct {
		Target       common.Address
		AllowFailure bool
		CallData     []byte
	}
	result3 struct {
		Success    bool
		ReturnData []byte
	}
)

func newMulticall() abi.ABI {
	m, err := abi.JSON(strings.NewReader(`[{"type":"function","name":"aggregate3","stateMutability":"payable",
		"inputs":[{"name":"calls","type":"tuple[]","components":[
			{"name":"target","type":"address"},{"name":"allowFailure","type":"bool"},{"name":"callData","type":"bytes"}]}],
		"outputs":[{"name":"returnData","type":"tuple[]","components":[
			{"name":"success","type":"bool"},{"name":"returnData","type":"bytes"}]}]}]`))
	if err != nil {
		panic(err) // the text above is wrong
	}
	return m
}

// overhead bounds the gas that Multicall3 itself needs for n calls.
func overhead(n int) uint64 { return 30_000 + 5_000*uint64(n) } // #nosec G115 -- a number of calls

// compose returns the one call that makes all calls of a batch. Of those who
// share it anyone's may fail.
func (s *Sender) compose(batch []*request) (Call, error) {
	if len(batch) == 1 && len(batch[0].calls) == 1 {
		return batch[0].calls[0], nil
	}
	var list []call3
	var gas uint64
	for _, r := range batch {
		for i, c := range r.calls {
			last := i == len(r.calls)-1
			list = append(list, call3{common.Address(c.To), len(batch) > 1 || !last, c.Data})
		}
		gas += r.gas
	}
	data, err := s.multicall.Pack("aggregate3", list)
	return Call{To: multicall3, Data: data, Gas: gas + overhead(len(list))}, err
}

// judge returns those of a batch whose calls would all work in one transaction
// now, and sends the others back to the queue: by themselves they neither harm
// anybody nor keep anybody waiting. All are finished when the node can't be
// asked.
func (s *Sender) judge(ctx context.Context, batch []*request) []*request {
	good, err := s.sound(ctx, batch)
	if err != nil {
		finish(batch, common.Hash{}, notSent(fmt.Errorf("simulate a batch: %w", err)))
		return nil
	}
	var odd, rest []*request
	for i, r := range batch {
		if good[i] {
			rest = append(rest, r)
		} else {
			r.alone = true
			odd = append(odd, r)
		}
	}
	s.enqueue(odd...)
	return rest
}

// sound tells which of a batch's calls would work in one transaction now, and
// run nobody's code but the contract's.
func (s *Sender) sound(ctx context.Context, batch []*request) ([]bool, error) {
	all, err := s.compose(batch)
	if err != nil {
		return nil, err
	}
	good := make([]bool, len(batch))
	coded, err := s.client.haveCode(ctx, batch)
	if err != nil {
		return nil, err
	}
	out, err := s.client.eth.CallContract(ctx, ethereum.CallMsg{From: common.Address(s.Address()),
		To: (*common.Address)(&all.To), Gas: all.Gas, Data: all.Data}, nil)
	if err = revert(err); errors.Is(err, ErrReverted) {
		return good, nil
	}
	if err != nil {
		return nil, err
	}
	answer, err := s.multicall.Unpack("aggregate3", out)
	if err != nil {
		return good, nil // there is no Multicall3 here
	}
	results := *abi.ConvertType(answer[0], new([]result3)).(*[]result3)
	if len(results) != len(batch) { // each of them has one call
		return good, nil
	}
	for i, r := range results {
		good[i] = r.Success && !coded[i]
	}
	return good, nil
}

// codeSizes is the constructor of a contract that is never created. Of the
// 32-byte words appended to it, each an address, it returns the code sizes:
//
//	memory = appended code; for i = 0; i < length; i += 32 { memory[i] = extcodesize(memory[i]) }
const codeSizes = "602138038060215f39" + // length on the stack, codecopy(0, 0x21, length)
	"5f5b81811015601d57" + // i = 0; while i < length
	"80513b8152" + // memory[i] = extcodesize(memory[i])
	"602001600a56" + // i += 32
	"5b505ff3" // return(0, length)

// haveCode tells which of the calls' signers are contracts, or accounts that
// have delegated to one (EIP-7702).
func (c *Client) haveCode(ctx context.Context, batch []*request) ([]bool, error) {
	data := common.FromHex(codeSizes)
	for _, r := range batch {
		data = append(data, common.LeftPadBytes(r.calls[0].Signer[:], 32)...)
	}
	out, err := c.eth.CallContract(ctx, ethereum.CallMsg{Data: data}, nil)
	if err != nil {
		return nil, err
	}
	if len(out) != 32*len(batch) {
		return nil, fmt.Errorf("code sizes: %d bytes for %d addresses", len(out), len(batch))
	}
	var coded []bool
	for size := range slices.Chunk(out, 32) {
		coded = append(coded, common.BytesToHash(size) != common.Hash{})
	}
	return coded, nil
}

// estimate returns the gas limit for a call that runs who knows what: a little
// more than it needs now, at most what it may have. Errors: [ErrReverted].
func (s *Sender) estimate(ctx context.Context, c Call) (uint64, error) {
	gas, err := s.client.eth.EstimateGas(ctx, ethereum.CallMsg{From: common.Address(s.Address()),
		To: (*common.Address)(&c.To), Gas: c.Gas, Data: c.Data})
	if err != nil && strings.Contains(err.Error(), "gas required exceeds allowance") {
		return 0, fmt.Errorf("%w: it needs more than %d gas", ErrReverted, c.Gas)
	}
	return min(gas+gas/5, c.Gas), revert(err)
}
