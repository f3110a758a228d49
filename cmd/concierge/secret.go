package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/store/secrets"
)

// secretOptions are what all of 'concierge secret' has.
type secretOptions struct {
	data string
	key  secretFlags
}

func newSecret() *cobra.Command {
	o := &secretOptions{}
	c := group("secret", "Passwords and API keys of a server, encrypted in its data directory",
		newSecretPut(o), newSecretList(o), newSecretDelete(o), newSecretKey(o), newSecretRekey(o))
	c.PersistentFlags().StringVar(&o.data, "data", "./data", "data directory")
	return c
}

func (o *secretOptions) store() *secrets.Store { return secrets.In(o.data) }

func newSecretPut(o *secretOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "put NAME",
		Short: "Store a secret, in place of one that was there",
		Long: "Reads the value from standard input (one newline at its end is cut off), or asks for it in a terminal, and\n" +
			"stores it. A server reads it when it starts, and some again when it reloads. A variable of the environment\n" +
			"goes before a stored secret.\n" +
			"The key is in --secrets-key-file, which 'concierge secret key' makes; on a desktop one is made in the\n" +
			"system's keyring. The names: " + strings.Join(storable(), ", ") + ".",
		Args:              oneSecret,
		ValidArgsFunction: cobra.FixedCompletions(storable(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.put(cmd, args[0])
		},
	}
	o.key.add(cmd)
	return cmd
}

// oneSecret takes the value for what it may be: it is in no error.
func oneSecret(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return fmt.Errorf("the name is missing: one of %s", strings.Join(storable(), ", "))
	case 1:
		return nil
	}
	return errors.New("want the name alone: the value is read from standard input or asked for. Given as an argument it is now in your shell's history and was seen by whoever lists processes: change it")
}

// storable are the names of the secrets that a server keeps.
func storable() (names []string) {
	for _, k := range knownSecrets() {
		if !k.personal {
			names = append(names, string(k.name))
		}
	}
	return names
}

// storableSecret is a name that a person typed. It may be a value by mistake.
func storableSecret(arg string) (secretName, error) {
	k, ok := secretName(arg).known()
	switch {
	case ok && k.personal:
		return "", misuse("a server does not keep %s: %s", k.name, k.name.howTo())
	case !ok:
		return "", misuse("no secret has that name; want one of %s", strings.Join(storable(), ", "))
	}
	return k.name, nil
}

func (o *secretOptions) put(cmd *cobra.Command, arg string) error {
	name, err := storableSecret(arg)
	if err != nil {
		return err
	}
	if err := sameOwner(o.data); err != nil {
		return err
	}
	keeper, err := o.key.keeper(o.data)
	if err != nil {
		return err
	}
	// Before a person is asked for what could not be stored.
	if err := o.haveKey(cmd.ErrOrStderr(), keeper); err != nil {
		return err
	}
	value, err := readSecret(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), name)
	if err != nil {
		return err
	}
	if err := o.store().Put(cmd.Context(), string(name), value, keeper); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s is stored in %s\n", name, o.store().Dir())
	if v, _ := name.given(); !v.IsZero() {
		k, _ := name.known()
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is set here: where it is, it goes before what is stored.\n", k.variable)
	}
	return nil
}

// haveKey makes a key in the system's keyring if there is none yet. A file it does
// not make: where that belongs, its owner knows.
func (o *secretOptions) haveKey(notice io.Writer, at secrets.Keeper) error {
	_, err := at.Load()
	ring, ok := at.(keyInKeyring)
	if !errors.Is(err, secrets.ErrNoKey) || !ok {
		return err
	}
	if !errors.Is(err, errNotInKeyring) {
		return misuse("%v.\nMake a key in a file outside of the data directory, and name it wherever the server is started:\n"+
			"  concierge secret key FILE\n  concierge secret put NAME --secrets-key-file FILE", err)
	}
	if stored, err := o.store().List(); err != nil || len(stored) > 0 {
		return errors.Join(err, misuse("what is stored in %s was put with another key: name its file with --secrets-key-file", o.store().Dir()))
	}
	key, err := secrets.NewKey()
	if err != nil {
		return err
	}
	if err := ring.Save(key); err != nil {
		return fmt.Errorf("a new key can't be kept in the system's keyring: %w", err)
	}
	fmt.Fprintf(notice, "Made a key in the system's keyring (%s, %s).\n", keyringService, ring.account)
	return nil
}

// readSecret reads a value to the end of the input, or asks a person for it.
func readSecret(ctx context.Context, in io.Reader, notice io.Writer, name secretName) (secrets.Value, error) {
	if atTerminal() {
		text, err := ask(ctx, notice, fmt.Sprintf("The value of %s (it is not shown): ", name))
		if err != nil {
			return secrets.Value{}, err
		}
		return secretValue(text)
	}
	// Two more than a value has are enough to know that it is too long.
	text, err := io.ReadAll(io.LimitReader(in, secrets.MaxValue+3))
	if err != nil {
		return secrets.Value{}, err
	}
	return secretValue(string(text))
}

// secretValue cuts off the newline that echo and editors add.
func secretValue(text string) (secrets.Value, error) {
	if cut, ok := strings.CutSuffix(text, "\n"); ok {
		text = strings.TrimSuffix(cut, "\r")
	}
	switch {
	case text == "":
		return secrets.Value{}, misuse("the value is empty; 'concierge secret delete' deletes a secret")
	case len(text) > secrets.MaxValue:
		return secrets.Value{}, misuse("the value is too long: at most %d bytes", secrets.MaxValue)
	case strings.ContainsRune(text, 0):
		return secrets.Value{}, misuse("there is a zero byte in the value: want text")
	}
	return secrets.NewValue(text), nil
}

// listedSecret is what everybody may know of a secret.
type listedSecret struct {
	Name     string `json:"name"`
	Source   string `json:"source"` // stored, environment, none, or unknown for a stored one that is no use
	Variable string `json:"variable,omitempty"`
	Put      string `json:"put,omitempty"` // RFC 3339
	Use      string `json:"use,omitempty"`
}

func newSecretList(o *secretOptions) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the secrets that there can be, and which are set; never a value",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := o.list()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tIS\tPUT\tVARIABLE\tFOR")
			for _, s := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Name, s.Source, or(s.Put), or(s.Variable), or(s.Use))
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (o *secretOptions) list() ([]listedSecret, error) {
	entries, err := o.store().List()
	if err != nil {
		return nil, err
	}
	put := map[string]string{}
	for _, e := range entries {
		put[e.Name] = e.Put.UTC().Format(time.RFC3339)
	}
	all := []listedSecret{}
	for _, k := range knownSecrets() {
		if k.personal {
			continue
		}
		s := listedSecret{Name: string(k.name), Source: "not set", Variable: k.variable, Put: put[string(k.name)], Use: k.use}
		if s.Put != "" {
			s.Source = "stored"
		}
		if v, _ := k.name.given(); !v.IsZero() {
			s.Source = "from variable"
		}
		delete(put, s.Name)
		all = append(all, s)
	}
	for _, e := range entries {
		if put[e.Name] != "" {
			all = append(all, listedSecret{Name: e.Name, Source: "unknown", Put: put[e.Name]})
		}
	}
	return all, nil
}

func newSecretDelete(o *secretOptions) *cobra.Command {
	return &cobra.Command{
		Use:               "delete NAME",
		Short:             "Delete a stored secret",
		Args:              oneSecret,
		ValidArgsFunction: cobra.FixedCompletions(storable(), cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if !secrets.ValidName(name) {
				return misuse("%v", secrets.ErrName)
			}
			if err := o.store().Delete(cmd.Context(), name); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is deleted; a running server may have it until it is started again\n", name)
			return nil
		},
	}
}

func newSecretKey(o *secretOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "key FILE",
		Short: "Make a key for the secrets in a new file",
		Long: "Makes a key and writes it to a file that only you can read (mode 0600), never over another. Name the file\n" +
			"with --secrets-key-file when you put secrets and when you start the server. Keep a copy of it: without it\n" +
			"the secrets have to be put again. Who has it and the data directory has them.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if inside(args[0], o.data) {
				return misuse("%s is in the data directory that the key is to lock: who gets a copy of that would have both; keep it elsewhere", args[0])
			}
			key, err := secrets.NewKey()
			if err != nil {
				return err
			}
			if err := secrets.File(args[0]).Create(key); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made the key %s\n", args[0])
			return nil
		},
	}
}

func newSecretRekey(o *secretOptions) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rekey",
		Short: "Make a new key, and encrypt all stored secrets with it",
		Long: "Makes a new key in the place of the old one and encrypts all stored secrets with it. Broken off anywhere,\n" +
			"nothing is lost: run it again. A running server goes on with what it has read. Who had the old key may have\n" +
			"read the secrets: change them as well.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := sameOwner(o.data); err != nil {
				return err
			}
			keeper, err := o.key.keeper(o.data)
			if err != nil {
				return err
			}
			n, err := o.store().Rekey(cmd.Context(), keeper)
			if err != nil {
				return fmt.Errorf("%w; nothing is lost: run it again when that is mended", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d secrets have a new key\n", n)
			return nil
		},
	}
	o.key.add(cmd)
	return cmd
}
