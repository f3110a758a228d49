package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/events-concierge/concierge/cmd/internal/process"
	"github.com/events-concierge/concierge/payments/wallet"
)

// servers are three on one data directory: two that settle by themselves and
// share a gas account, and one that has a facilitator do so.
const servers = 3

// startChain starts the devnet that lives throughout.
func (w *world) startChain(ctx context.Context, program string) (stop func() error, err error) {
	log, err := os.Create(filepath.Join(w.dir, "devnet.log"))
	if err != nil {
		return nil, err
	}
	p, err := process.Start(program, []string{"devnet", "--addr", "127.0.0.1:0"}, nil, log)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	stop = func() error {
		if w.chain != nil {
			w.chain.close()
		}
		err := p.Stop(time.Minute)
		if err != nil {
			err = fmt.Errorf("devnet: %w", err)
		}
		return errors.Join(err, log.Close())
	}
	url, err := p.Await(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("devnet: %w", err), stop())
	}
	key, err := wallet.New(w.bytes(partStranger))
	if err == nil {
		w.chain, err = openChain(ctx, url, key)
	}
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// keepers prepares the servers, each with a proxy between itself and the chain.
func (w *world) keepers(ctx context.Context, program string) (all []*keeper, stop func(), err error) {
	var logs []*os.File
	stop = func() {
		for _, p := range w.proxies {
			p.close()
		}
		for _, log := range logs {
			_ = log.Close()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	w.killer = newKiller(w.kills, w.payments, w.chance(partKiller))
	var bases []string
	for i := range servers {
		rpc, err := w.proxy("the node", w.chain.url)
		if err != nil {
			return nil, nil, err
		}
		who, err := w.settles(ctx, i)
		if err != nil {
			return nil, nil, err
		}
		addr, err := freeAddress()
		if err != nil {
			return nil, nil, err
		}
		name := fmt.Sprintf("server%d", i)
		log, err := os.Create(filepath.Join(w.dir, name+".log"))
		if err != nil {
			return nil, nil, err
		}
		logs = append(logs, log)
		all = append(all, &keeper{name: name, program: program, addr: addr, killer: w.killer,
			taken: w.booked.Load, tally: w.tally, log: &watched{log, name, w.fault}, fault: w.fault, env: []string{who},
			args: []string{"--data", filepath.Join(w.dir, "data"), "--network", "devnet", "--rpc", rpc}})
		bases = append(bases, "http://"+addr)
	}
	w.client = newClient(bases, w.chance(partClient), w.tally)
	return all, stop, nil
}

// settles says who settles the payments of a server, as a variable of its
// environment: it does so itself, with the gas account, or the facilitator of the
// devnet does, which it reaches in two ways.
func (w *world) settles(ctx context.Context, server int) (variable string, err error) {
	if server != 1 {
		return w.gasKey(ctx)
	}
	var ways []string
	for range 2 {
		url, err := w.proxy("the facilitator", w.chain.url)
		if err != nil {
			return "", err
		}
		ways = append(ways, url+"/facilitator")
	}
	return "CONCIERGE_FACILITATOR=" + strings.Join(ways, ","), nil
}

// proxy starts a proxy in front of target.
func (w *world) proxy(name, target string) (url string, err error) {
	p := &proxy{name: name, target: target, chain: w.chain, patient: w.patientFaults(), stall: w.window * 3 / 2, excuses: w.excuses,
		tally: w.tally, random: w.chance(partProxy + uint64(len(w.proxies)))}
	p.peaceful.Store(true)
	if url, err = p.listen(); err != nil {
		return "", err
	}
	w.proxies = append(w.proxies, p)
	return url, nil
}

// gasKey makes the account that pays for gas, and funds it. It is the same in
// every life of a server, so that its nonce must survive it.
func (w *world) gasKey(ctx context.Context) (variable string, err error) {
	var secret [32]byte
	if _, err := io.ReadFull(w.bytes(partGas), secret[:]); err != nil {
		return "", err
	}
	key, err := wallet.New(w.bytes(partGas)) // of the same bytes
	if err != nil {
		return "", err
	}
	return "CONCIERGE_GAS_KEY=" + hex.EncodeToString(secret[:]), w.chain.fund(ctx, key.Address(), 1)
}

// freeAddress finds a port for a server. It is the same in every life of it.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// register makes the users, with a server that nothing happens to.
func (w *world) register(ctx context.Context, k *keeper) error {
	p, err := process.Start(k.program, append([]string{"serve", "--addr", k.addr}, k.args...), k.env, k.log)
	if err != nil {
		return err
	}
	if _, err := p.Await(ctx); err != nil {
		p.Kill()
		return fmt.Errorf("%s: %w", k.name, err)
	}
	w.programme = &programme{client: w.client, random: w.chance(partProgramme)}
	elsewhere, err := wallet.New(w.bytes(partWallet))
	if err == nil {
		err = w.programme.register(ctx, w.hosts, elsewhere.Address())
	}
	return errors.Join(err, p.Stop(graceful))
}
