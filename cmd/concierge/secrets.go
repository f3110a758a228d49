package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/store/secrets"
)

// secretName is a secret that the program knows.
type secretName string

// Secrets of a server. None of them is ever a flag or a key of the configuration.
const (
	secretSMTPUser         secretName = "smtp-user"
	secretSMTPPassword     secretName = "smtp-password"
	secretGasKey           secretName = "gas-key"
	secretGasPassphrase    secretName = "gas-passphrase"
	secretFacilitatorToken secretName = "facilitator-token"
	secretCDPKeyID         secretName = "cdp-api-key-id"
	secretCDPKeySecret     secretName = "cdp-api-key-secret"
	secretModelKey         secretName = "model-api-key"
	secretCrossmintKey     secretName = "crossmint-key"
	secretRPCURL           secretName = "rpc-url"
	secretAWSKeyID         secretName = "aws-access-key-id"
	secretAWSKey           secretName = "aws-secret-access-key"
	secretAWSSession       secretName = "aws-session-token"
	secretMetricsToken     secretName = "metrics-token"
)

// Secrets of a person, which come from the environment or are asked for: a server
// does not keep them.
const (
	secretWalletKey        secretName = "wallet-key"
	secretWalletPassphrase secretName = "wallet-passphrase"
	secretExportPassphrase secretName = "export-passphrase"
)

// knownSecret is a secret, and the variable that goes before a stored one.
type knownSecret struct {
	name     secretName
	variable string
	use      string // for people
	personal bool   // it is never stored
}

func knownSecrets() []knownSecret {
	return []knownSecret{
		{secretAWSKeyID, "AWS_ACCESS_KEY_ID", "the bucket of --backup", false},
		{secretAWSKey, "AWS_SECRET_ACCESS_KEY", "the bucket of --backup", false},
		{secretAWSSession, "AWS_SESSION_TOKEN", "the bucket of --backup, if its credentials are temporary", false},
		{secretCDPKeyID, envCDPKeyID, "Coinbase's facilitator", false},
		{secretCDPKeySecret, envCDPKeySecret, "Coinbase's facilitator", false},
		{secretCrossmintKey, envCrossmintKey, "wallets at Crossmint", false},
		{secretFacilitatorToken, envFacilitatorToken, "bearer tokens of other facilitators", false},
		{secretGasKey, envGasKey, "the account that pays for gas, as a raw key", false},
		{secretGasPassphrase, envGasPassphrase, "the account that pays for gas, of --gas-keystore", false},
		{secretMetricsToken, "CONCIERGE_METRICS_TOKEN", "who may read /metrics from elsewhere", false},
		{secretModelKey, envModelKey, "the language model of the agent", false},
		{secretRPCURL, "CONCIERGE_RPC", "--rpc, where the URL of the node has a key in it", false},
		{secretSMTPPassword, envSMTPPassword, "the mail server", false},
		{secretSMTPUser, envSMTPUser, "the mail server", false},
		{secretExportPassphrase, envExportPassphrase, "the wallet in an export of a user", true},
		{secretWalletKey, envWalletKey, "a Guest's wallet, as a raw key", true},
		{secretWalletPassphrase, envWalletPassphrase, "a Guest's wallet", true},
	}
}

// known returns what is known of a secret.
func (n secretName) known() (knownSecret, bool) {
	for _, k := range knownSecrets() {
		if k.name == n {
			return k, true
		}
	}
	return knownSecret{}, false
}

// given returns a secret of the environment. It is the one place where the program
// reads a variable with a secret in it.
func (n secretName) given() (_ secrets.Value, ok bool) {
	k, _ := n.known()
	text, ok := os.LookupEnv(k.variable)
	return secrets.NewValue(text), ok
}

// howTo says how a secret that is missing is set.
func (n secretName) howTo() string {
	k, _ := n.known()
	if k.personal {
		return "set " + k.variable
	}
	return fmt.Sprintf("set %s, or store it with 'concierge secret put %s'", k.variable, n)
}

// credentials are the secrets of a command: those of the environment, and else those
// stored in its data directory. Nil has those of the environment alone.
type credentials struct {
	stored map[secretName]secrets.Value
}

// get returns a secret, or none.
func (c *credentials) get(n secretName) secrets.Value {
	if v, _ := n.given(); !v.IsZero() || c == nil {
		return v
	}
	return c.stored[n]
}

// has reports whether there is a secret.
func (c *credentials) has(n secretName) bool { return !c.get(n).IsZero() }

// keyCredential is the key's name among systemd's credentials.
const keyCredential = "concierge-secrets-key"

// secretFlags say which key opens the stored secrets.
type secretFlags struct {
	keyFile string
	keyring bool
}

func (f *secretFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.keyFile, "secrets-key-file", "", "file with the key of the stored secrets (default: systemd's credential "+keyCredential+", else the system's keyring); see 'concierge secret'")
	cmd.Flags().BoolVar(&f.keyring, "keyring", true, "look for that key in the system's keyring")
}

// keeper is where the key of a data directory is.
func (f *secretFlags) keeper(data string) (secrets.Keeper, error) {
	if f.keyFile != "" {
		if inside(f.keyFile, data) {
			return nil, misuse("--secrets-key-file %s is in the data directory that it locks: who gets a copy of that would have both; keep it elsewhere", f.keyFile)
		}
		return secrets.File(f.keyFile), nil
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		path := filepath.Join(dir, keyCredential)
		if _, err := os.Stat(path); err == nil {
			return secrets.Credential(path), nil
		}
	}
	whole, err := filepath.Abs(data)
	if err != nil {
		return nil, err
	}
	k := keyInKeyring{account: "secrets of " + whole}
	if f.keyring {
		k.keyring = osKeyring{keyringPatience}
	}
	return k, nil
}

// inside reports whether a path is below a folder.
func inside(path, folder string) bool {
	whole := func(p string) string {
		p, _ = filepath.Abs(p)
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return real
		}
		return p
	}
	from := filepath.Join(whole(filepath.Dir(path)), filepath.Base(path))
	rel, err := filepath.Rel(whole(folder), from)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// open reads those of the given secrets that are stored in a data directory; no names
// are all. It refuses what others could have written, and tells what they can read.
func (f *secretFlags) open(data string, log *slog.Logger, names ...secretName) (*credentials, error) {
	c := &credentials{stored: map[secretName]secrets.Value{}}
	store := secrets.In(data)
	wanted, err := wantedSecrets(store, names)
	if err != nil || len(wanted) == 0 {
		return c, err
	}
	for _, found := range store.Check() {
		if found.Refuse {
			return nil, errors.New(found.Advice)
		}
		log.Warn("secrets", "err", found.Advice)
	}
	keeper, err := f.keeper(data)
	if err != nil {
		return nil, err
	}
	key, err := keeper.Load()
	if err != nil {
		return nil, fmt.Errorf("secrets are stored in %s, and their key is missing: name its file with --secrets-key-file: %w", store.Dir(), err)
	}
	for _, name := range wanted {
		if c.stored[name], err = store.Get(string(name), key); err != nil {
			return nil, fmt.Errorf("%w; put it again with 'concierge secret put %s', or delete it", err, name)
		}
	}
	return c, nil
}

// wantedSecrets are those stored and known that no variable goes before.
func wantedSecrets(store *secrets.Store, names []secretName) (wanted []secretName, err error) {
	entries, err := store.List()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name := secretName(e.Name)
		asked := len(names) == 0
		for _, n := range names {
			asked = asked || n == name
		}
		if _, known := name.known(); !known || !asked {
			continue
		}
		if v, _ := name.given(); v.IsZero() {
			wanted = append(wanted, name)
		}
	}
	return wanted, nil
}

// keyInKeyring keeps the key of a data directory in the system's keyring.
type keyInKeyring struct {
	keyring // nil: none is asked
	account string
}

// Load implements [secrets.Keeper].
func (k keyInKeyring) Load() (secrets.Key, error) {
	text, err := "", errors.New("it is not asked")
	if k.keyring != nil {
		text, err = k.Get(k.account)
	}
	if err != nil {
		return secrets.Key{}, fmt.Errorf("%w (the system's keyring: %w)", secrets.ErrNoKey, err)
	}
	key, err := secrets.ParseKey(text)
	if err != nil {
		return secrets.Key{}, fmt.Errorf("the key in the system's keyring (%s, %s): %w", keyringService, k.account, err)
	}
	return key, nil
}

// Save implements [secrets.Keeper].
func (k keyInKeyring) Save(key secrets.Key) error {
	return keep(k.keyring, k.account, key.Text().Reveal())
}
