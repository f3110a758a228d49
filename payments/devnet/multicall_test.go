package devnet

import (
	"bytes"
	"math/big"
	"os"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// The argument types of Multicall3, as Go's ABI coder wants them.
type (
	multiCall struct {
		Target   common.Address
		CallData []byte
	}
	multiCall3 struct {
		Target       common.Address
		AllowFailure bool
		CallData     []byte
	}
	multiCall3Value struct {
		Target       common.Address
		AllowFailure bool
		Value        *big.Int
		CallData     []byte
	}
	multiResult = struct {
		Success    bool   `json:"success"`
		ReturnData []byte `json:"returnData"`
	}
)

func TestMulticall3(t *testing.T) {
	c := startChain(t, Options{})
	a := c.funded(t, 5)
	file, err := os.ReadFile("contracts/build/Multicall3.abi.json")
	if err != nil {
		t.Fatal(err)
	}
	multi, err := abi.JSON(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	call := func(value *big.Int, method string, args ...any) ([]any, error) {
		t.Helper()
		data, err := multi.Pack(method, args...)
		if err != nil {
			t.Fatal(err)
		}
		to := Multicall3()
		raw, err := c.eth.CallContract(t.Context(), ethereum.CallMsg{From: a.addr, To: &to, Value: value, Data: data}, nil)
		if err != nil {
			return nil, err
		}
		return multi.Unpack(method, raw)
	}
	good, bad := c.pack(t, "balanceOf", a.addr), c.pack(t, "transfer", common.Address{}, big.NewInt(1))
	five := common.LeftPadBytes([]byte{5}, 32)
	number := c.engine.head().Number

	out, err := call(nil, "aggregate", []multiCall{{USDC(), good}, {USDC(), good}})
	if err != nil || out[0].(*big.Int).Cmp(number) != 0 || !bytes.Equal(out[1].([][]byte)[1], five) {
		t.Errorf("aggregate: %v, %v", out, err)
	}
	if _, err := call(nil, "aggregate", []multiCall{{USDC(), bad}}); err == nil || revertReason(t, err) != "Multicall3: call failed" {
		t.Errorf("aggregate with a failure: %v", err)
	}
	out, err = call(nil, "tryAggregate", false, []multiCall{{USDC(), good}, {USDC(), bad}})
	if err != nil || !bytes.Equal(out[0].([]multiResult)[0].ReturnData, five) || out[0].([]multiResult)[1].Success {
		t.Errorf("tryAggregate: %v, %v", out, err)
	}
	if reason, _ := abi.UnpackRevert(out[0].([]multiResult)[1].ReturnData); reason != "ERC20: transfer to the zero address" {
		t.Errorf("tryAggregate lost the reason: %q", reason)
	}
	if _, err := call(nil, "tryAggregate", true, []multiCall{{USDC(), bad}}); err == nil {
		t.Error("tryAggregate: a required call failed")
	}
	out, err = call(nil, "tryBlockAndAggregate", false, []multiCall{{USDC(), bad}})
	if err != nil || out[0].(*big.Int).Cmp(number) != 0 || out[1] != [32]byte{} || out[2].([]multiResult)[0].Success {
		t.Errorf("tryBlockAndAggregate: %v, %v", out, err)
	}
	if out, err = call(nil, "blockAndAggregate", []multiCall{{USDC(), good}}); err != nil || !out[2].([]multiResult)[0].Success {
		t.Errorf("blockAndAggregate: %v, %v", out, err)
	}
	out, err = call(nil, "aggregate3", []multiCall3{{USDC(), true, bad}, {USDC(), false, good}})
	if err != nil || out[0].([]multiResult)[0].Success || !out[0].([]multiResult)[1].Success {
		t.Errorf("aggregate3: %v, %v", out, err)
	}
	if _, err = call(nil, "aggregate3", []multiCall3{{USDC(), false, bad}}); err == nil {
		t.Error("aggregate3: a required call failed")
	}
	two := big.NewInt(2)
	pay := []multiCall3Value{{common.Address{9}, false, two, nil}}
	if _, err = call(two, "aggregate3Value", pay); err != nil {
		t.Errorf("aggregate3Value: %v", err)
	}
	if _, err = call(big.NewInt(3), "aggregate3Value", pay); err == nil || revertReason(t, err) != "Multicall3: value mismatch" {
		t.Errorf("aggregate3Value with change left: %v", err)
	}
	head := c.engine.head()
	wei := c.engineBalance(t, a.addr)
	for method, want := range map[string]*big.Int{
		"getBlockNumber": head.Number, "getChainId": big.NewInt(ChainID), "getBasefee": new(big.Int),
		"getCurrentBlockTimestamp": new(big.Int).SetUint64(head.Time), "getCurrentBlockGasLimit": new(big.Int).SetUint64(head.GasLimit),
		"getCurrentBlockDifficulty": head.MixDigest.Big(),
	} {
		if out, err := call(nil, method); err != nil || out[0].(*big.Int).Cmp(want) != 0 {
			t.Errorf("%s: %v, %v, want %v", method, out, err, want)
		}
	}
	if out, err = call(nil, "getEthBalance", a.addr); err != nil || out[0].(*big.Int).Cmp(wei) != 0 {
		t.Errorf("getEthBalance: %v, %v", out, err)
	}
	if out, err = call(nil, "getLastBlockHash"); err != nil || out[0] != [32]byte(head.ParentHash) {
		t.Errorf("getLastBlockHash: %x, %v", out, err)
	}
	if out, err = call(nil, "getBlockHash", new(big.Int).Sub(head.Number, big.NewInt(1))); err != nil || out[0] != [32]byte(head.ParentHash) {
		t.Errorf("getBlockHash: %x, %v", out, err)
	}
	if out, err = call(nil, "getCurrentBlockCoinbase"); err != nil || out[0] != head.Coinbase {
		t.Errorf("getCurrentBlockCoinbase: %v, %v", out, err)
	}
	// The selectors that viem and the facilitators have built in.
	for method, selector := range map[string]string{
		"aggregate((address,bytes)[])": "252dba42", "tryAggregate(bool,(address,bytes)[])": "bce38bd7",
		"aggregate3((address,bool,bytes)[])": "82ad56cb", "aggregate3Value((address,bool,uint256,bytes)[])": "174dea71",
	} {
		id := crypto.Keccak256([]byte(method))[:4]
		if m, err := multi.MethodById(id); err != nil || !bytes.Equal(id, common.Hex2Bytes(selector)) {
			t.Errorf("%s: %x %v", method, id, m)
		}
	}
}

func (c *testChain) engineBalance(tb testing.TB, of common.Address) *big.Int {
	tb.Helper()
	state, err := c.engine.eth.BlockChain().State()
	if err != nil {
		tb.Fatal(err)
	}
	return state.GetBalance(of).ToBig()
}
