package evm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/gofrs/flock"

	"github.com/events-concierge/concierge/payments/x402"
)

// outbox is what is known of an account's transactions that may not be in a
// block yet. In a file, it is shared by all processes that send for the account:
// who has opened it has the account for itself.
//
// The file is written before a transaction leaves, and without fsync: it has to
// outlive the process. Should it be lost or old after a power failure, the node
// knows the next nonce, and [Sender.Tend] sees to what is in the way.
type outbox struct {
	client  *Client
	account x402.Address
	log     *slog.Logger
	path    string // empty: in memory
	lock    *flock.Flock
	record
}

// record is the content of an outbox.
type record struct {
	ChainID uint64      `json:"chain_id"`
	Genesis common.Hash `json:"genesis"`
	Next    uint64      `json:"next"` // nonce of the next transaction
	Sent    []*entry    `json:"sent"` // by nonce
}

// entry is a transaction. If only its nonce is known, because somebody else sent
// it or something was lost, it is one without a signature that does nothing.
type entry struct {
	Raw   hexutil.Bytes `json:"raw"`
	Sends []common.Hash `json:"sends,omitempty"` // what it carries: a request's id each
	Taken bool          `json:"taken,omitempty"` // a node has it, or has had
	At    time.Time     `json:"at"`              // when it was last submitted
	tx    *types.Transaction
}

// Limits of an outbox.
const (
	maxOutbox = 16 << 20 // bytes of its file; full batches have 40 KB each
	maxSent   = 128      // transactions; many nodes keep fewer of one account
)

func newOutbox(dir string, client *Client, account x402.Address, log *slog.Logger) *outbox {
	o := &outbox{client: client, account: account, log: log, record: record{ChainID: client.ChainID()}}
	if dir != "" {
		o.path = filepath.Join(dir, "gas-"+account.String())
		o.lock = flock.New(o.path + ".lock")
	}
	return o
}

// open waits until nobody else has the outbox and reads it. It must be closed.
func (o *outbox) open(ctx context.Context) (closer func(), err error) {
	if o.path == "" {
		return func() {}, nil
	}
	if o.Genesis == (common.Hash{}) {
		first, err := o.client.eth.HeaderByNumber(ctx, common.Big0)
		if err != nil {
			return nil, fmt.Errorf("ask the chain for its first block: %w", err)
		}
		o.Genesis = first.Hash()
	}
	if _, err := o.lock.TryLockContext(ctx, 2*time.Millisecond); err != nil {
		return nil, fmt.Errorf("wait for the gas account %s, which another process may be sending for: %w", o.account, err)
	}
	closer = func() {
		if err := o.lock.Unlock(); err != nil {
			o.log.Error("unlock the gas account", "err", err)
		}
	}
	if err := o.read(); err != nil {
		closer()
		return nil, err
	}
	return closer, nil
}

// read reads the file. What can't be understood, or is about another chain, is
// as good as lost.
func (o *outbox) read() error {
	file, err := os.Open(o.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("gas account: %w", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxOutbox))
	if err != nil {
		return fmt.Errorf("gas account: %w", err)
	}
	r, err := decodeRecord(raw)
	if err == nil && (r.ChainID != o.ChainID || r.Genesis != o.Genesis) {
		err = errors.New("it is about another chain")
	}
	if err != nil {
		o.log.Warn("the file of the gas account is ignored, the node is asked instead", "file", o.path, "err", err)
		return nil
	}
	o.record = r
	return nil
}

func decodeRecord(raw []byte) (r record, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return r, err
	}
	if _, err := d.Token(); err != io.EOF {
		return r, errors.New("something follows the record")
	}
	next := uint64(0)
	for _, e := range r.Sent {
		if e == nil {
			return r, errors.New("a transaction is missing")
		}
		e.tx = new(types.Transaction)
		if err := e.tx.UnmarshalBinary(e.Raw); err != nil {
			return r, fmt.Errorf("a transaction: %w", err)
		}
		if e.tx.Nonce() < next || e.tx.Nonce() >= r.Next {
			return r, errors.New("the nonces are out of order")
		}
		next = e.tx.Nonce() + 1
	}
	return r, nil
}

// save writes the outbox, whole or not at all.
func (o *outbox) save() error {
	if o.path == "" {
		return nil
	}
	raw, err := json.Marshal(o.record)
	if err != nil {
		return err
	}
	if err = os.WriteFile(o.path+".new", raw, 0o600); err == nil {
		err = os.Rename(o.path+".new", o.path)
	}
	if err != nil {
		return fmt.Errorf("gas account: %w", err)
	}
	return nil
}

// set makes tx the entry's transaction.
func (e *entry) set(tx *types.Transaction) (err error) {
	e.tx = tx
	e.Raw, err = tx.MarshalBinary()
	return err
}

// push adds the next transaction.
func (o *outbox) push(e *entry) {
	o.Next++
	o.Sent = append(o.Sent, e)
}

// pop takes the last one back.
func (o *outbox) pop() {
	o.Next--
	o.Sent = o.Sent[:len(o.Sent)-1]
}

// find returns the entry that carries a request.
func (o *outbox) find(id common.Hash) *entry {
	for _, e := range o.Sent {
		if slices.Contains(e.Sends, id) {
			return e
		}
	}
	return nil
}

// drop forgets the transactions below a nonce; they are in blocks.
func (o *outbox) drop(mined uint64) {
	o.Next = max(o.Next, mined)
	o.Sent = slices.DeleteFunc(o.Sent, func(e *entry) bool { return e.tx.Nonce() < mined })
}

// cover sees to it that there is an entry for every nonce from mined on, the
// lowest first, up to maxSent.
func (o *outbox) cover(mined uint64, now time.Time) error {
	for i, nonce := 0, mined; nonce < o.Next && i < maxSent; i, nonce = i+1, nonce+1 {
		if i < len(o.Sent) && o.Sent[i].tx.Nonce() == nonce {
			continue
		}
		e := &entry{Taken: true, At: now}
		if err := e.set(o.nothing(nonce)); err != nil {
			return err
		}
		o.Sent = slices.Insert(o.Sent, i, e)
	}
	return nil
}

// nothing is a transaction that only uses its nonce up.
func (o *outbox) nothing(nonce uint64) *types.Transaction {
	return types.NewTx(&types.DynamicFeeTx{ChainID: new(big.Int).SetUint64(o.ChainID), Nonce: nonce,
		GasTipCap: new(big.Int), GasFeeCap: new(big.Int), Gas: 21_000, To: (*common.Address)(&o.account)})
}
