// Package wallet holds the keys that sign payments and transactions. A key
// never leaves it: callers get an address and signatures.
//
// [Open] and [Create] are for people: an encrypted keystore file (Web3 Secret
// Storage, scrypt) that other Ethereum tools read too. [FromEnv] takes a raw
// key and is for tests and throw-away accounts. [Seal] and [Unseal] keep a key
// as bytes inside a database instead of a file.
package wallet

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/uuid"

	"github.com/events-concierge/concierge/payments/evm"
	"github.com/events-concierge/concierge/payments/x402"
)

// Signer pays: it signs EIP-3009 transfers from its address.
type Signer interface {
	Address() x402.Address
	// SignAuthorization signs a as the payment of r. It refuses one that is from
	// another account or that pays anything else than r asks for.
	SignAuthorization(ctx context.Context, r x402.Requirements, a x402.Authorization) (x402.Signature, error)
}

// Local is an ordinary account whose key is in this process. It is a [Signer],
// and an [evm.Key] for transactions.
type Local struct {
	key     *ecdsa.PrivateKey
	address x402.Address
}

var (
	// ErrPassphrase means that a keystore does not open with this passphrase.
	ErrPassphrase = errors.New("wrong passphrase for the keystore")
	// ErrNoWallet means that there is no keystore file, or no key in the
	// environment variable.
	ErrNoWallet = errors.New("no wallet there")
)

// Strength is the cost of scrypt. The zero value is Standard.
type Strength int

const (
	// Standard takes about a second and 256 MB: right for a passphrase that a
	// person chose.
	Standard Strength = iota
	// Light takes next to nothing: for a passphrase of 128 random bits or more,
	// which nobody can guess at any speed, and for tests.
	Light
)

func (s Strength) scrypt() (n, p int) {
	if s == Light {
		return 1 << 8, 1
	}
	return keystore.StandardScryptN, keystore.StandardScryptP
}

// New makes a new account from random bytes of rand, such as crypto/rand.Reader.
func New(rand io.Reader) (*Local, error) {
	var secret [32]byte
	if _, err := io.ReadFull(rand, secret[:]); err != nil {
		return nil, fmt.Errorf("new wallet: %w", err)
	}
	// All but one in 2^127 numbers are keys: who meets another has no randomness.
	key, err := crypto.ToECDSA(secret[:])
	if err != nil {
		return nil, fmt.Errorf("new wallet: not random: %w", err)
	}
	return local(key), nil
}

func local(key *ecdsa.PrivateKey) *Local {
	return &Local{key: key, address: x402.Address(crypto.PubkeyToAddress(key.PublicKey))}
}

// FromEnv takes the key from an environment variable, see [FromHex].
func FromEnv(name string) (*Local, error) { return FromHex(name, os.Getenv(name)) }

// FromHex takes a key as 64 hex digits, with or without 0x; name is what it is called
// in errors. Errors: [ErrNoWallet]; the key's text is in no error.
func FromHex(name, key string) (*Local, error) {
	value := strings.TrimSpace(key)
	if value == "" {
		return nil, fmt.Errorf("%w: %s is not set", ErrNoWallet, name)
	}
	private, err := crypto.HexToECDSA(strings.TrimPrefix(value, "0x"))
	if err != nil {
		return nil, fmt.Errorf("%s is not a private key: want 64 hex digits", name)
	}
	return local(private), nil
}

// Open reads an encrypted keystore file. Errors: [ErrNoWallet], [ErrPassphrase].
func Open(path, passphrase string) (*Local, error) {
	sealed, err := read(path)
	if err != nil {
		return nil, err
	}
	l, err := Unseal(sealed, passphrase)
	if err != nil {
		return nil, fmt.Errorf("open keystore %s: %w", path, err)
	}
	return l, nil
}

// Later is [Open] put off until the wallet first signs: what a passphrase is worth
// it takes in time. Until then nobody knows whether the passphrase is right.
func Later(path, passphrase string) (Signer, error) {
	address, err := Whose(path)
	if err != nil || address.IsZero() {
		return Open(path, passphrase) // which says why, or whose it is
	}
	return &later{address, sync.OnceValues(func() (*Local, error) { return Open(path, passphrase) })}, nil
}

type later struct {
	address x402.Address
	open    func() (*Local, error)
}

func (l *later) Address() x402.Address { return l.address }

func (l *later) SignAuthorization(ctx context.Context, r x402.Requirements, a x402.Authorization) (x402.Signature, error) {
	opened, err := l.open()
	if err != nil {
		return nil, err
	}
	return opened.SignAuthorization(ctx, r, a)
}

// read returns a keystore file, or so much of it that it is too large.
func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoWallet, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	defer file.Close()
	sealed, err := io.ReadAll(io.LimitReader(file, maxSealed+1))
	if err != nil {
		return nil, fmt.Errorf("open keystore: %w", err)
	}
	return sealed, nil
}

// Create makes a new account and writes it to a new keystore file, readable by
// the owner alone. A file that is there already is never touched.
func Create(path, passphrase string, strength Strength, rand io.Reader) (*Local, error) {
	l, err := New(rand)
	if err != nil {
		return nil, err
	}
	if err := l.Save(path, passphrase, strength); err != nil {
		return nil, err
	}
	return l, nil
}

// Save writes the account to a new keystore file, as [Create] does. Errors:
// [fs.ErrExist].
func (l *Local) Save(path, passphrase string, strength Strength) error {
	sealed, err := l.Seal(passphrase, strength)
	if err != nil {
		return err
	}
	if err := writeNew(path, sealed); err != nil {
		return fmt.Errorf("create keystore: %w", err)
	}
	return nil
}

// Whose returns the account that a keystore file says it is of, which nobody has
// proved; it is zero if the file does not say. Errors: [ErrNoWallet].
func Whose(path string) (x402.Address, error) {
	sealed, err := read(path)
	if err != nil {
		return x402.Address{}, err
	}
	address, err := inspect(sealed)
	if err != nil {
		return x402.Address{}, fmt.Errorf("open keystore %s: not a keystore: %w", path, err)
	}
	return address, nil
}

// writeNew writes a file that must survive, or not be there at all: a wallet
// that was shown but not kept would swallow what is sent to it.
func writeNew(path string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".keystore-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil { // unlike rename, fails when path exists
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Seal encrypts the key with a passphrase as a Web3 Secret Storage document.
func (l *Local) Seal(passphrase string, strength Strength) ([]byte, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, fmt.Errorf("seal wallet: %w", err)
	}
	n, p := strength.scrypt()
	sealed, err := keystore.EncryptKey(&keystore.Key{Id: id, Address: common.Address(l.address), PrivateKey: l.key}, passphrase, n, p)
	if err != nil {
		return nil, fmt.Errorf("seal wallet: %w", err)
	}
	return sealed, nil
}

// Unseal opens what [Local.Seal] made. Errors: [ErrPassphrase].
func Unseal(sealed []byte, passphrase string) (l *Local, err error) {
	defer func() { // go-ethereum does not check what a damaged file may lack
		if recover() != nil {
			l, err = nil, errors.New("not a keystore: it is damaged")
		}
	}()
	address, err := inspect(sealed)
	if err != nil {
		return nil, fmt.Errorf("not a keystore: %w", err)
	}
	key, err := keystore.DecryptKey(sealed, passphrase)
	if errors.Is(err, keystore.ErrDecrypt) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("not a keystore: %w", err)
	}
	// The document's checksum does not cover the whole of it: a damaged one may
	// open as another account's key.
	if l = local(key.PrivateKey); l.address != address && !address.IsZero() {
		return nil, errors.New("not a keystore: it is damaged")
	}
	return l, nil
}

// Limits on what a keystore may ask of the machine that opens it.
const (
	maxSealed = 64 << 10 // bytes
	maxScrypt = 1 << 22  // n·r·p; Standard is half of it, and 256 MB
	maxPBKDF2 = 1 << 24  // rounds
	maxKey    = 64       // bytes
)

// inspect returns whose key a keystore has, or the zero address if it does not
// say so. It refuses one that costs too much to open.
func inspect(sealed []byte) (x402.Address, error) {
	if len(sealed) > maxSealed {
		return x402.Address{}, errors.New("it is too large")
	}
	var document struct {
		Address string              `json:"address"`
		Crypto  keystore.CryptoJSON `json:"crypto"`
	}
	if err := json.Unmarshal(sealed, &document); err != nil {
		return x402.Address{}, err
	}
	work := 1.0
	for name, most := range map[string]float64{"n": maxScrypt, "r": maxScrypt, "p": maxScrypt, "c": maxPBKDF2, "dklen": maxKey} {
		n, _ := document.Crypto.KDFParams[name].(float64)
		if n < 0 || n > most {
			return x402.Address{}, errors.New("it takes too long to open")
		}
		if most == maxScrypt {
			work *= n
		}
	}
	if work > maxScrypt {
		return x402.Address{}, errors.New("it takes too long to open")
	}
	if document.Address == "" {
		return x402.Address{}, nil
	}
	return x402.ParseAddress("0x" + strings.ToLower(strings.TrimPrefix(document.Address, "0x")))
}

// Address returns the account.
func (l *Local) Address() x402.Address { return l.address }

// SignAuthorization implements [Signer].
func (l *Local) SignAuthorization(_ context.Context, r x402.Requirements, a x402.Authorization) (x402.Signature, error) {
	domain, err := Pays(l.address, r, a)
	if err != nil {
		return nil, err
	}
	return evm.Sign(l.key, domain.Digest(a))
}

// Pays checks what every [Signer] must before it signs: that a is from this wallet
// and pays exactly what r asks for. It returns the domain to sign in.
func Pays(wallet x402.Address, r x402.Requirements, a x402.Authorization) (evm.Domain, error) {
	if a.From != wallet {
		return evm.Domain{}, fmt.Errorf("sign payment: it is from %s, not from this wallet", a.From)
	}
	if a.To != r.PayTo || a.Value != r.Amount {
		return evm.Domain{}, errors.New("sign payment: it does not pay what is required")
	}
	domain, err := evm.DomainOf(r)
	if err != nil {
		return evm.Domain{}, fmt.Errorf("sign payment: %w", err)
	}
	return domain, nil
}

// SignHash implements [evm.Key].
func (l *Local) SignHash(_ context.Context, digest common.Hash) (x402.Signature, error) {
	return evm.Sign(l.key, digest)
}
