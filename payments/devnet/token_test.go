package devnet

import (
	"encoding/hex"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/crypto/secp256k1"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// testNow is the clock of the tests that look at validity windows; it stands still.
func testNow() time.Time { return time.Unix(1_750_000_100, 0) }

// authorization is an EIP-3009 transfer, valid around testNow.
type authorization struct {
	from, to                       common.Address
	value, validAfter, validBefore int64
	nonce                          [32]byte
}

func (a authorization) args(more ...any) []any {
	return append([]any{a.from, a.to, big.NewInt(a.value), big.NewInt(a.validAfter), big.NewInt(a.validBefore), a.nonce}, more...)
}

// signed returns the 65 bytes of a signature made with go-ethereum's own EIP-712.
func (a authorization) signed(tb testing.TB, by account, primary string) []byte {
	tb.Helper()
	return signTyped(tb, by, primary, []apitypes.Type{
		{Name: "from", Type: "address"}, {Name: "to", Type: "address"}, {Name: "value", Type: "uint256"},
		{Name: "validAfter", Type: "uint256"}, {Name: "validBefore", Type: "uint256"}, {Name: "nonce", Type: "bytes32"},
	}, apitypes.TypedDataMessage{
		"from": a.from.Hex(), "to": a.to.Hex(), "value": big.NewInt(a.value), "validAfter": big.NewInt(a.validAfter),
		"validBefore": big.NewInt(a.validBefore), "nonce": a.nonce[:],
	})
}

func signTyped(tb testing.TB, by account, primary string, fields []apitypes.Type, message apitypes.TypedDataMessage) []byte {
	tb.Helper()
	digest, _, err := apitypes.TypedDataAndHash(apitypes.TypedData{
		Types: apitypes.Types{
			"EIP712Domain": {
				{Name: "name", Type: "string"}, {Name: "version", Type: "string"},
				{Name: "chainId", Type: "uint256"}, {Name: "verifyingContract", Type: "address"},
			},
			primary: fields,
		},
		PrimaryType: primary,
		Domain:      apitypes.TypedDataDomain{Name: "USDC", Version: "2", ChainId: math.NewHexOrDecimal256(ChainID), VerifyingContract: USDC().Hex()},
		Message:     message,
	})
	if err != nil {
		tb.Fatal(err)
	}
	sig, err := crypto.Sign(digest, by.key)
	if err != nil {
		tb.Fatal(err)
	}
	sig[64] += 27
	return sig
}

func split(sig []byte) (v uint8, r, s [32]byte) {
	return sig[64], [32]byte(sig[:32]), [32]byte(sig[32:64])
}

// highS returns the other signature that the curve takes for the same message.
func highS(sig []byte) []byte {
	s := new(big.Int).SetBytes(sig[32:64])
	other := append([]byte{}, sig...)
	new(big.Int).Sub(secp256k1.S256().Params().N, s).FillBytes(other[32:64])
	other[64] = 27 + 28 - sig[64]
	return other
}

const (
	// Go's names of the overloads: shortest first.
	transferBytes, transferVRS = "transferWithAuthorization", "transferWithAuthorization0"
	receiveBytes, receiveVRS   = "receiveWithAuthorization", "receiveWithAuthorization0"
	cancelBytes, cancelVRS     = "cancelAuthorization", "cancelAuthorization0"
)

// fixture is a chain with a payer who has 1 USDC, a payee, and a facilitator
// who has ether only.
func fixture(tb testing.TB) (c *testChain, payer, facilitator account, a authorization) {
	tb.Helper()
	c = startChain(tb, Options{Now: testNow})
	payer, facilitator = c.funded(tb, 1_000_000), c.funded(tb, 0)
	return c, payer, facilitator, authorization{
		from: payer.addr, to: common.Address{19: 0x77}, value: 10_000,
		validAfter: testNow().Unix() - 600, validBefore: testNow().Unix() + 300, nonce: [32]byte{1},
	}
}

func TestTransferWithAuthorization(t *testing.T) {
	c, payer, facilitator, a := fixture(t)
	t.Run("bytes", func(t *testing.T) {
		r := c.sendToken(t, facilitator, transferBytes, a.args(a.signed(t, payer, "TransferWithAuthorization"))...)
		t.Logf("gas to a new recipient: %d", r.GasUsed)
		wantEvents(t, c, r, a)
		if used, _ := c.call(t, payer.addr, "authorizationState", a.from, a.nonce); used[0] != true {
			t.Error("the authorization does not count as used")
		}
	})
	t.Run("v r s", func(t *testing.T) {
		a.nonce = [32]byte{2}
		v, r, s := split(a.signed(t, payer, "TransferWithAuthorization"))
		receipt := c.sendToken(t, facilitator, transferVRS, a.args(v, r, s)...)
		t.Logf("gas: %d", receipt.GasUsed)
		if receipt.GasUsed > 90_000 {
			t.Errorf("a transfer costs %d gas: are the fork rules right?", receipt.GasUsed)
		}
		wantEvents(t, c, receipt, a)
	})
	if from, to := c.balance(t, a.from), c.balance(t, a.to); from != 980_000 || to != 20_000 {
		t.Errorf("balances %d and %d", from, to)
	}
}

func wantEvents(t *testing.T, c *testChain, r *types.Receipt, a authorization) {
	t.Helper()
	if len(r.Logs) != 2 {
		t.Fatalf("%d logs", len(r.Logs))
	}
	used, transfer := r.Logs[0], r.Logs[1]
	if used.Topics[0] != c.token.Events["AuthorizationUsed"].ID || used.Topics[1] != common.BytesToHash(a.from[:]) || used.Topics[2] != a.nonce {
		t.Errorf("first log %v", used)
	}
	if transfer.Topics[0] != c.token.Events["Transfer"].ID || transfer.Topics[1] != common.BytesToHash(a.from[:]) ||
		transfer.Topics[2] != common.BytesToHash(a.to[:]) || new(big.Int).SetBytes(transfer.Data).Int64() != a.value {
		t.Errorf("second log %v", transfer)
	}
}

// Facilitators read these strings; they are USDC's.
func TestTransferRefused(t *testing.T) {
	c, payer, facilitator, good := fixture(t)
	sign := func(a authorization) []byte { return a.signed(t, payer, "TransferWithAuthorization") }
	used := good
	used.nonce = [32]byte{9}
	c.sendToken(t, facilitator, transferBytes, used.args(sign(used))...)
	head := int64(c.engine.head().Time) // calls see the head's time

	tests := []struct {
		name   string
		mend   func(*authorization)
		sign   func(authorization) []byte
		reason string
	}{
		{"good", nil, sign, ""},
		{"used", func(a *authorization) { a.nonce = used.nonce }, sign, "FiatTokenV2: authorization is used or canceled"},
		{"last second before valid", func(a *authorization) { a.validAfter = head }, sign, "FiatTokenV2: authorization is not yet valid"},
		{"first second valid", func(a *authorization) { a.validAfter = head - 1 }, sign, ""},
		{"first second expired", func(a *authorization) { a.validBefore = head }, sign, "FiatTokenV2: authorization is expired"},
		{"last second before expired", func(a *authorization) { a.validBefore = head + 1 }, sign, ""},
		{"more than there is", func(a *authorization) { a.value = 1_000_001 }, sign, "ERC20: transfer amount exceeds balance"},
		{"to nobody", func(a *authorization) { a.to = common.Address{} }, sign, "ERC20: transfer to the zero address"},
		{"signed by another", nil, func(a authorization) []byte { return a.signed(t, facilitator, "TransferWithAuthorization") }, "FiatTokenV2: invalid signature"},
		{"signed for another amount", nil, func(a authorization) []byte { a.value++; return sign(a) }, "FiatTokenV2: invalid signature"},
		{"signed for receiving", nil, func(a authorization) []byte { return a.signed(t, payer, "ReceiveWithAuthorization") }, "FiatTokenV2: invalid signature"},
		{"high s", nil, func(a authorization) []byte { return highS(sign(a)) }, "ECRecover: invalid signature 's' value"},
		{"v of 0", nil, func(a authorization) []byte { s := sign(a); s[64] = 0; return s }, "ECRecover: invalid signature 'v' value"},
		{"short signature", nil, func(a authorization) []byte { return sign(a)[:64] }, "ECRecover: invalid signature length"},
		{"zero signature", nil, func(authorization) []byte { return append(make([]byte, 64), 27) }, "ECRecover: invalid signature"},
		// The order of the checks.
		{"expired, used and unsigned", func(a *authorization) { a.validBefore, a.nonce = 1, used.nonce }, func(authorization) []byte { return nil }, "FiatTokenV2: authorization is expired"},
		{"used and unsigned", func(a *authorization) { a.nonce = used.nonce }, func(authorization) []byte { return nil }, "FiatTokenV2: authorization is used or canceled"},
		{"unsigned and too much", func(a *authorization) { a.value = 1_000_001 }, func(authorization) []byte { return nil }, "ECRecover: invalid signature length"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := good
			if tt.mend != nil {
				tt.mend(&a)
			}
			sig := tt.sign(a)
			if _, reason := c.call(t, facilitator.addr, transferBytes, a.args(sig)...); reason != tt.reason {
				t.Errorf("in one piece: %q, want %q", reason, tt.reason)
			}
			if len(sig) != 65 {
				return
			}
			v, r, s := split(sig)
			if _, reason := c.call(t, facilitator.addr, transferVRS, a.args(v, r, s)...); reason != tt.reason {
				t.Errorf("in parts: %q, want %q", reason, tt.reason)
			}
		})
	}
}

func TestReceiveWithAuthorization(t *testing.T) {
	c, payer, payee, a := fixture(t)
	a.to = payee.addr
	sig := a.signed(t, payer, "ReceiveWithAuthorization")
	if _, reason := c.call(t, payer.addr, receiveBytes, a.args(sig)...); reason != "FiatTokenV2: caller must be the payee" {
		t.Errorf("for another: %q", reason)
	}
	c.sendToken(t, payee, receiveBytes, a.args(sig)...)
	a.nonce = [32]byte{2}
	v, r, s := split(a.signed(t, payer, "ReceiveWithAuthorization"))
	c.sendToken(t, payee, receiveVRS, a.args(v, r, s)...)
	if got := c.balance(t, payee.addr); got != 20_000 {
		t.Errorf("balance %d", got)
	}
}

func TestCancelAuthorization(t *testing.T) {
	c, payer, facilitator, a := fixture(t)
	cancel := func(nonce [32]byte, by account) []byte {
		return signTyped(t, by, "CancelAuthorization",
			[]apitypes.Type{{Name: "authorizer", Type: "address"}, {Name: "nonce", Type: "bytes32"}},
			apitypes.TypedDataMessage{"authorizer": payer.addr.Hex(), "nonce": nonce[:]})
	}
	if _, reason := c.call(t, facilitator.addr, cancelBytes, payer.addr, a.nonce, cancel(a.nonce, facilitator)); reason != "FiatTokenV2: invalid signature" {
		t.Errorf("by another: %q", reason)
	}
	r := c.sendToken(t, facilitator, cancelBytes, payer.addr, a.nonce, cancel(a.nonce, payer))
	if len(r.Logs) != 1 || r.Logs[0].Topics[0] != c.token.Events["AuthorizationCanceled"].ID || r.Logs[0].Topics[2] != a.nonce {
		t.Errorf("logs %v", r.Logs)
	}
	const want = "FiatTokenV2: authorization is used or canceled"
	if _, reason := c.call(t, facilitator.addr, transferBytes, a.args(a.signed(t, payer, "TransferWithAuthorization"))...); reason != want {
		t.Errorf("transfer of a canceled authorization: %q", reason)
	}
	if _, reason := c.call(t, facilitator.addr, cancelBytes, payer.addr, a.nonce, cancel(a.nonce, payer)); reason != want {
		t.Errorf("canceled twice: %q", reason)
	}
	second := [32]byte{2}
	v, rr, s := split(cancel(second, payer))
	c.sendToken(t, facilitator, cancelVRS, payer.addr, second, v, rr, s)
}

// A smart wallet approves by itself, EIP-1271.
func TestContractPayer(t *testing.T) {
	c, owner, facilitator, a := fixture(t)
	code, err := os.ReadFile("contracts/build/OwnerWallet.bin")
	if err != nil {
		t.Fatal(err)
	}
	creation, err := hex.DecodeString(strings.TrimSpace(string(code)))
	if err != nil {
		t.Fatal(err)
	}
	deployed := c.send(t, owner, nil, append(creation, common.LeftPadBytes(owner.addr[:], 32)...))
	wallet := deployed.ContractAddress
	if _, err := c.Fund(t.Context(), wallet, 50_000); err != nil {
		t.Fatal(err)
	}
	a.from = wallet
	sig := a.signed(t, owner, "TransferWithAuthorization")
	for name, bad := range map[string][]byte{
		"another's": a.signed(t, facilitator, "TransferWithAuthorization"), "none": nil, "long": make([]byte, 200),
	} {
		if _, reason := c.call(t, facilitator.addr, transferBytes, a.args(bad)...); reason != "FiatTokenV2: invalid signature" {
			t.Errorf("%s: %q", name, reason)
		}
	}
	c.sendToken(t, facilitator, transferBytes, a.args(sig)...)
	if got := c.balance(t, a.to); got != 10_000 {
		t.Errorf("balance %d", got)
	}
	// A wallet that reverts has not approved; its own words must not surface.
	setBroken := append(crypto.Keccak256([]byte("setBroken(bool)"))[:4], common.LeftPadBytes([]byte{1}, 32)...)
	if r := c.send(t, owner, &wallet, setBroken); r.Status != types.ReceiptStatusSuccessful {
		t.Fatal("setBroken failed")
	}
	a.nonce = [32]byte{2}
	if _, reason := c.call(t, facilitator.addr, transferBytes, a.args(a.signed(t, owner, "TransferWithAuthorization"))...); reason != "FiatTokenV2: invalid signature" {
		t.Errorf("broken wallet: %q", reason)
	}
}

// Signatures that npm's x402 1.2.0 and @x402/evm 2.27.0 made move money here.
func TestForeignSignatures(t *testing.T) {
	c := startChain(t, Options{Now: testNow})
	a := authorization{
		from: common.HexToAddress("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"), to: common.HexToAddress("0x209693Bc6afc0C5328bA36FaF03C514EF312287C"),
		value: 10_000, validAfter: 1_750_000_000, validBefore: 1_750_000_900, nonce: [32]byte(common.FromHex("0x" + strings.Repeat("11", 32))),
	}
	if _, err := c.Fund(t.Context(), a.from, 10_000); err != nil {
		t.Fatal(err)
	}
	v1 := common.FromHex("0xeb6f17910e0383d996339d38bce082211facf789acc02110ce4566a2f5246b972929a9422905ffadf69dafc425afd7d59c4b6b8c517836c3fc22bee64d65f6ca1c")
	v2 := common.FromHex("0xc702af617c14c0a41c8582c61c3f98e0552bf928088988e8ba10fa9baa8049a006e16d97d638791ed42f77fcc691d07e864b890f527939134819e7943c3654e81b")
	fromZero := a
	fromZero.validAfter = 0
	if _, reason := c.call(t, a.to, transferBytes, fromZero.args(v2)...); reason != "" {
		t.Errorf("version 2: %q", reason)
	}
	c.sendToken(t, c.funded(t, 0), transferBytes, a.args(v1)...)
	if got := c.balance(t, a.to); got != 10_000 {
		t.Errorf("balance %d", got)
	}
}

func TestERC20(t *testing.T) {
	c := startChain(t, Options{})
	a, b := c.funded(t, 1_000), c.funded(t, 0)
	n := func(v int64) *big.Int { return big.NewInt(v) }
	c.sendToken(t, a, "transfer", b.addr, n(100))
	c.sendToken(t, a, "transfer", a.addr, n(900)) // to oneself: no change
	c.sendToken(t, a, "approve", b.addr, n(50))
	c.sendToken(t, b, "transferFrom", a.addr, b.addr, n(30))
	if left, _ := c.call(t, a.addr, "allowance", a.addr, b.addr); left[0].(*big.Int).Int64() != 20 {
		t.Errorf("allowance %v", left[0])
	}
	if x, y := c.balance(t, a.addr), c.balance(t, b.addr); x != 870 || y != 130 {
		t.Errorf("balances %d and %d", x, y)
	}
	if supply, _ := c.call(t, a.addr, "totalSupply"); supply[0].(*big.Int).Int64() != 1_000 {
		t.Errorf("supply %v", supply[0])
	}
	for _, tt := range []struct {
		from   common.Address
		method string
		args   []any
		reason string
	}{
		{a.addr, "transfer", []any{b.addr, n(871)}, "ERC20: transfer amount exceeds balance"},
		{a.addr, "transfer", []any{common.Address{}, n(1)}, "ERC20: transfer to the zero address"},
		{b.addr, "transferFrom", []any{a.addr, b.addr, n(21)}, "ERC20: transfer amount exceeds allowance"},
		{a.addr, "approve", []any{common.Address{}, n(1)}, "ERC20: approve to the zero address"},
		{a.addr, "mint", []any{a.addr, n(1)}, "FiatToken: caller is not a minter"},
		{c.faucet.account, "mint", []any{common.Address{}, n(1)}, "FiatToken: mint to the zero address"},
		{c.faucet.account, "mint", []any{a.addr, n(0)}, "FiatToken: mint amount not greater than 0"},
		{c.faucet.account, "mint", []any{a.addr, n(1)}, ""},
	} {
		if _, reason := c.call(t, tt.from, tt.method, tt.args...); reason != tt.reason {
			t.Errorf("%s%v: %q, want %q", tt.method, tt.args, reason, tt.reason)
		}
	}
}

// What clients ask the token about itself.
func TestTokenConstants(t *testing.T) {
	c := startChain(t, Options{})
	typeHash := func(s string) [32]byte { return crypto.Keccak256Hash([]byte(s)) }
	const fields = "(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
	for method, want := range map[string]any{
		"name": "USDC", "symbol": "USDC", "version": "2", "decimals": uint8(6), "currency": "USD", "minter": c.faucet.account,
		"TRANSFER_WITH_AUTHORIZATION_TYPEHASH": typeHash("TransferWithAuthorization" + fields),
		"RECEIVE_WITH_AUTHORIZATION_TYPEHASH":  typeHash("ReceiveWithAuthorization" + fields),
		"CANCEL_AUTHORIZATION_TYPEHASH":        typeHash("CancelAuthorization(address authorizer,bytes32 nonce)"),
		// EIP-712 of USDC, 2, 84532 and the address; TestForeignSignatures holds it too.
		"DOMAIN_SEPARATOR": [32]byte(common.FromHex("0x71f17a3b2ff373b803d70a5a07c046c1a2bc8e89c09ef722fcb047abe94c9818")),
	} {
		if got, reason := c.call(t, c.faucet.account, method); reason != "" || got[0] != want {
			t.Errorf("%s: %v %q, want %v", method, got, reason, want)
		}
	}
}
