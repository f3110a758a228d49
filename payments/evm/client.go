package evm

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/events-concierge/concierge/payments/x402"
)

// ErrReverted is wrapped by a call that the contract refused; the text is the
// contract's own reason.
var ErrReverted = errors.New("reverted")

// Options tune a [Client]; the zero value suits a public Base node.
type Options struct {
	// Confirmations is how many blocks, its own included, a transaction must
	// have to count. 0 means 1.
	Confirmations uint64
	// Finality is how many it must have to be final: no reorganisation of the
	// chain goes so deep. 0 means 64, two minutes on Base; it is at least
	// Confirmations.
	Finality uint64
	// Poll is the pause between two looks for a receipt. 0 means 500 ms.
	Poll time.Duration
	// Factories may be called to deploy a payer's wallet (ERC-6492), at the cost
	// of who settles; see [WalletFactories]. Without any, wallets must be there.
	Factories []x402.Address
}

// Client reads one chain over JSON-RPC. Safe for concurrent use.
type Client struct {
	eth           *ethclient.Client
	token         *FiatToken
	events        map[string]abi.Event
	multicall     abi.ABI
	factories     []x402.Address
	chainID       uint64
	confirmations uint64
	finality      uint64
	poll          time.Duration
	logRange      uint64
}

// NewClient returns the Client of a node that r is connected to, and owns r.
func NewClient(ctx context.Context, r *rpc.Client, opts Options) (*Client, error) {
	c := &Client{eth: ethclient.NewClient(r), token: NewFiatToken(),
		confirmations: max(1, opts.Confirmations), finality: opts.Finality, poll: opts.Poll, logRange: logRange,
		factories: opts.Factories, multicall: newMulticall()}
	if c.finality == 0 {
		c.finality = 64
	}
	c.finality = max(c.finality, c.confirmations)
	c.events = c.token.GetABI().Events
	if c.poll == 0 {
		c.poll = 500 * time.Millisecond
	}
	id, err := c.eth.ChainID(ctx)
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("ask the node for its chain id: %w", err)
	}
	if !id.IsUint64() {
		r.Close()
		return nil, errors.New("ask the node for its chain id: it is out of range")
	}
	c.chainID = id.Uint64()
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() { c.eth.Close() }

// ChainID returns the EIP-155 id that the node gave at the start.
func (c *Client) ChainID() uint64 { return c.chainID }

// Head is the newest block.
type Head struct {
	Number uint64
	Time   time.Time
}

// Head returns the newest block that the node has.
func (c *Client) Head(ctx context.Context) (Head, error) {
	h, err := c.eth.HeaderByNumber(ctx, nil)
	if err != nil {
		return Head{}, fmt.Errorf("ask the chain for its head: %w", err)
	}
	return Head{Number: h.Number.Uint64(), Time: time.Unix(int64(h.Time), 0)}, nil // #nosec G115 -- a node that lies about the time lies as well within the range
}

// Balance returns what owner has of a token, in its atomic units.
func (c *Client) Balance(ctx context.Context, token, owner x402.Address) (x402.Uint256, error) {
	out, err := c.read(ctx, token, c.token.PackBalanceOf(common.Address(owner)), nil)
	if err != nil {
		return x402.Uint256{}, fmt.Errorf("ask the chain for a balance: %w", err)
	}
	balance, err := c.token.UnpackBalanceOf(out)
	if err != nil {
		return x402.Uint256{}, fmt.Errorf("read a balance: %w", err)
	}
	var n x402.Uint256
	n.SetFromBig(balance)
	return n, nil
}

// GasBalance returns what an account has to pay gas with, in wei.
func (c *Client) GasBalance(ctx context.Context, owner x402.Address) (*big.Int, error) {
	wei, err := c.eth.BalanceAt(ctx, common.Address(owner), nil)
	if err != nil {
		return nil, fmt.Errorf("ask the chain for a gas balance: %w", err)
	}
	return wei, nil
}

// AuthorizationUsed reports whether the payer's nonce is used or cancelled, in
// the newest block.
func (c *Client) AuthorizationUsed(ctx context.Context, token, payer x402.Address, nonce x402.Bytes32) (bool, error) {
	return c.authorizationState(ctx, token, payer, nonce, nil)
}

func (c *Client) authorizationState(ctx context.Context, token, payer x402.Address, nonce x402.Bytes32, block *big.Int) (bool, error) {
	out, err := c.read(ctx, token, c.token.PackAuthorizationState(common.Address(payer), nonce), block)
	if err != nil {
		return false, fmt.Errorf("ask the chain for an authorization: %w", err)
	}
	return c.token.UnpackAuthorizationState(out)
}

// DomainSeparator returns the token's own, to be compared with
// [Domain.Separator].
func (c *Client) DomainSeparator(ctx context.Context, token x402.Address) (common.Hash, error) {
	out, err := c.read(ctx, token, c.token.PackDOMAINSEPARATOR(), nil)
	if err != nil {
		return common.Hash{}, fmt.Errorf("ask the token for its domain: %w", err)
	}
	return c.token.UnpackDOMAINSEPARATOR(out)
}

// PackTransfer returns the call data of transferWithAuthorization: of the
// overload with v, r and s for a signature of 65 bytes, else of the one that
// takes any. Of an ERC-6492 signature the wrapping is left out, for the token
// does not know it. Errors: [ErrSignature].
func (c *Client) PackTransfer(a x402.Authorization, sig x402.Signature) ([]byte, error) {
	sig, _, err := Unwrap(sig)
	if err != nil {
		return nil, err
	}
	from, to, value, after, before := common.Address(a.From), common.Address(a.To), a.Value.ToBig(), a.ValidAfter.ToBig(), a.ValidBefore.ToBig()
	if len(sig) != crypto.SignatureLength {
		return c.token.TryPackTransferWithAuthorization(from, to, value, after, before, a.Nonce, sig)
	}
	return c.token.TryPackTransferWithAuthorization0(from, to, value, after, before, a.Nonce, sig[64], [32]byte(sig[:32]), [32]byte(sig[32:64]))
}

func (c *Client) read(ctx context.Context, contract x402.Address, data []byte, block *big.Int) ([]byte, error) {
	out, err := c.eth.CallContract(ctx, ethereum.CallMsg{To: (*common.Address)(&contract), Data: data}, block)
	if err == nil && len(out) == 0 {
		return nil, fmt.Errorf("no token contract at %s", contract)
	}
	return out, revert(err)
}

// codeReverted is what nodes call a reverted call; some have other codes, and
// say it in words.
const codeReverted = 3

// revert turns a node's answer to a reverted call into ErrReverted and the
// reason that the contract gave. Any other answer is an error as it is: data
// alone is no sign, for providers send some with their own refusals too.
func revert(err error) error {
	var answer interface {
		rpc.Error
		rpc.DataError
	}
	if !errors.As(err, &answer) || (answer.ErrorCode() != codeReverted && !halted(answer.Error())) {
		return err
	}
	data, _ := answer.ErrorData().(string)
	return reverted(common.FromHex(data))
}

// fees returns what to pay for gas now: the node's suggested tip, and a cap
// that survives six full blocks of rising base fee.
func (c *Client) fees(ctx context.Context) (tip, feeCap *big.Int, err error) {
	if tip, err = c.eth.SuggestGasTipCap(ctx); err != nil {
		return nil, nil, fmt.Errorf("gas price: %w", err)
	}
	var head *types.Header
	if head, err = c.eth.HeaderByNumber(ctx, nil); err != nil {
		return nil, nil, fmt.Errorf("base fee: %w", err)
	}
	if head.BaseFee == nil {
		return nil, nil, errors.New("base fee: the chain has none (EIP-1559)")
	}
	return tip, new(big.Int).Add(tip, new(big.Int).Lsh(head.BaseFee, 1)), nil
}
