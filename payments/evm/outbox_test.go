package evm_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/gofrs/flock"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/testlog"
)

// kept returns a sender that keeps its outbox in a folder; and the outbox's path.
func (s sender) kept(t *testing.T, dir string) (sender, string) {
	t.Helper()
	return s.with(s.key, t, evm.SenderOptions{Dir: dir}), filepath.Join(dir, "gas-"+s.Address().String())
}

// Two processes with one gas key take turns.
func TestTwoProcesses(t *testing.T) {
	const sends = 20
	s := faultySender(t)
	dir := t.TempDir()
	one, _ := s.kept(t, dir)
	other, _ := s.kept(t, dir)
	var (
		all    sync.WaitGroup
		mu     sync.Mutex
		hashes []common.Hash
	)
	for i := range sends {
		all.Go(func() {
			hash, err := []sender{one, other}[i%2].Send(t.Context(), evm.Call{To: s.usdc, Data: s.transferCall(), Gas: sendGas})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			hashes = append(hashes, hash)
		})
	}
	all.Wait()
	var nonces []uint64
	for _, hash := range hashes {
		nonces = append(nonces, s.sent(t, hash, s.Address()))
	}
	slices.Sort(nonces)
	for i, nonce := range nonces {
		if nonce != uint64(i) {
			t.Fatalf("nonces %v", nonces)
		}
	}
}

// Who waits for another process may give up.
func TestAnotherProcessHasTheOutbox(t *testing.T) {
	s, path := faultySender(t).kept(t, t.TempDir())
	s.mined(t, 0)
	lock := flock.New(path + ".lock")
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	go func() {
		_, err := s.Send(ctx, evm.Call{To: s.usdc, Data: s.transferCall(), Gas: sendGas})
		given <- err
	}()
	s.waiting(1)
	cancel()
	if err := <-given; !errors.Is(err, evm.ErrNotSent) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	s.mined(t, 1)
}

// After a restart it is known what was sent, also when a node says otherwise.
func TestRestart(t *testing.T) {
	for name, c := range map[string]struct {
		leave func(s sender, t *testing.T) (x402.Authorization, common.Hash)
		tends int
	}{
		"stuck": {func(s sender, t *testing.T) (x402.Authorization, common.Hash) { return s.stuck(t) }, 1},
		"lost": {func(s sender, t *testing.T) (x402.Authorization, common.Hash) {
			return s.leaves(t, func(c call) []byte { return c.result(common.Hash{1}) }, true)
		}, 1},
		"killed before it left": {func(s sender, t *testing.T) (x402.Authorization, common.Hash) {
			return s.leaves(t, func(call) []byte { return nil }, false)
		}, 0},
		"killed after it left": {func(s sender, t *testing.T) (x402.Authorization, common.Hash) {
			return s.leaves(t, func(c call) []byte { c.forward(); return nil }, false)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := faultySender(t).kept(t, dir)
			a, first := c.leave(s, t)
			s.node.heal()
			s, path := s.kept(t, dir)
			for range c.tends {
				s.tend(t)
			}
			s.mined(t, 1)
			o, err := s.client.Authorization(t.Context(), s.expected(a), 0)
			if err != nil || o.State != evm.Transferred {
				t.Errorf("%+v, %v", o, err)
			}
			if same := o.Transaction == first; same != (name != "stuck" && name != "lost") {
				t.Errorf("by %s, first sent as %s", o.Transaction, first)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}

// leaves sends a payment that comes to this.
func (s sender) leaves(t *testing.T, f fault, taken bool) (x402.Authorization, common.Hash) {
	t.Helper()
	payer := s.funded(t, 10)
	a := s.authorize(payer, payee, 10)
	s.node.on(submit, f)
	hash, err := s.Send(t.Context(), s.authorized(t, payer, a))
	if (err == nil) != taken || errors.Is(err, evm.ErrNotSent) {
		t.Fatal(err)
	}
	return a, hash
}

// What was refused is not sent by the next process.
func TestRefusedIsNotKept(t *testing.T) {
	dir := t.TempDir()
	s, _ := faultySender(t).kept(t, dir)
	payer := s.funded(t, 10)
	a := s.authorize(payer, payee, 10)
	s.node.on(submit, func(c call) []byte { return c.refuse(-32000, "txpool is full", nil) })
	if _, err := s.Send(t.Context(), s.authorized(t, payer, a)); !errors.Is(err, evm.ErrNotSent) {
		t.Fatal(err)
	}
	s.node.heal()
	s, _ = s.kept(t, dir)
	s.tend(t)
	s.mined(t, 0)
	if o, err := s.client.Authorization(t.Context(), s.expected(a), 0); err != nil || o.State != evm.Unused {
		t.Errorf("%+v, %v", o, err)
	}
}

// A file that is damaged, or of another chain, is as good as lost, and is
// written anew.
func TestOutboxOfNoUse(t *testing.T) {
	shared := faultySender(t)
	s, path := shared.kept(t, t.TempDir())
	s.mined(t, 0)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(old, with string) []byte {
		damaged := bytes.Replace(good, []byte(old), []byte(with), 1)
		if bytes.Equal(damaged, good) {
			t.Fatalf("no %s in %s", old, good)
		}
		return damaged
	}
	for name, content := range map[string][]byte{
		"empty":             {},
		"half":              good[:len(good)/2],
		"more":              append(slices.Clone(good), '{', '}'),
		"not JSON":          []byte("gas"),
		"another chain":     replaced(`"chain_id":84532`, `"chain_id":8453`),
		"another beginning": replaced(`"genesis":"0x`, `"genesis":"0x0000000000000000000000000000000000000000000000000000000000000000","x":"0x`),
		"another genesis":   replaced(string(good[bytes.Index(good, []byte(`"genesis":"`)):][:40]), `"genesis":"0x`+strings.Repeat("0", 27)),
		"nonces beyond":     replaced(`"next":1`, `"next":0`),
		"no transaction":    replaced(`"raw":"0x02`, `"raw":"0x`),
		"null":              replaced(`"sent":[`, `"sent":[null,`),
		"huge":              bytes.Repeat([]byte(" "), 17<<20),
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			dir := t.TempDir()
			s := shared.again(t)
			s.mined(t, 0)
			key := s.key
			path := filepath.Join(dir, "gas-"+s.Address().String())
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			s.Sender = evm.NewSender(s.node.dial(t, evm.Options{}), key, evm.SenderOptions{
				Dir: dir, Now: s.clock.Now, Log: testlog.New(slog.NewTextHandler(&log, nil))})
			s.mined(t, 1)
			if !strings.Contains(log.String(), "is ignored") {
				t.Errorf("log: %s", &log)
			}
			log.Reset()
			s.mined(t, 2)
			if log.Len() > 0 {
				t.Errorf("log: %s", &log)
			}
		})
	}
}

// Without a place to write to nothing is sent.
func TestOutboxCantBeWritten(t *testing.T) {
	s, path := faultySender(t).kept(t, t.TempDir())
	s.mined(t, 0)
	s.node.on(submit, func(c call) []byte { t.Error("it was sent"); return c.forward() })
	if err := os.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := s.try(t); !errors.Is(err, evm.ErrNotSent) {
		t.Error(err)
	}
	if err := os.Remove(path + ".new"); err != nil {
		t.Fatal(err)
	}
	s.node.heal()
	s.mined(t, 1)
}

// An older file, from a backup, knows too little.
func TestOlderOutbox(t *testing.T) {
	s, path := faultySender(t).kept(t, t.TempDir())
	s.mined(t, 0)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for nonce := range uint64(3) {
		s.mined(t, nonce+1)
	}
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ = s.kept(t, filepath.Dir(path))
	s.mined(t, 4)
}
