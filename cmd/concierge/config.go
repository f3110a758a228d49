package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addConfig adds the flags that all commands have about the configuration file.
func addConfig(root *cobra.Command) {
	root.PersistentFlags().String(flagConfig, configName, "configuration file; the one of the working directory is read if it is there, but a Guest reads only one that is named")
	root.PersistentFlags().String(flagEnv, "", "the [env.NAME] of the configuration file that holds")
}

func newConfig() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "config [-- COMMAND [FLAG…]]",
		Short: "Show what a command would run with, and where each value is from",
		Long: "Shows the values of all keys that a command takes (without one: serve), and where each is from: a flag,\n" +
			"an environment variable, the line of a file, or the default. Secrets are shown as set or not set.\n" +
			"With the command's flags behind it, it shows what these would make of it:\n\n" +
			"  concierge config --env production -- serve --network base",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := effectiveOf(cmd, args)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), e)
			}
			return e.show(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newConfigCheck(), newConfigInit())
	return cmd
}

func newConfigCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Look whether serve would take the configuration",
		Long: "Reads the configuration file with all of its sections, and looks whether 'concierge serve' would take\n" +
			"what holds: unknown keys, wrong values, and what does not go together. It connects to nothing.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := checkServe(cmd)
			if err != nil {
				return err
			}
			from := "no file"
			if s.path != "" {
				from = s.path
			}
			if s.env != "" {
				from += ", [env." + s.env + "]"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "serve takes it (%s)\n", from)
			return err
		},
	}
}

// checkServe finds what is wrong with what serve would run with, for a command with
// the same --config and --env.
func checkServe(cmd *cobra.Command) (*configured, error) {
	var o serveOptions
	_, s, err := loadAs(cmd, "serve", o.command(), nil)
	if err == nil {
		// What is odd about the secrets' files, serve and doctor tell.
		err = o.openSecrets(slog.New(slog.DiscardHandler))
	}
	if err == nil {
		err = o.valid()
	}
	if err != nil {
		return s, &usageError{s.where(err)}
	}
	return s, nil
}

// loadAs fills the flags of another command as if it had been called with these
// arguments, and the --config and --env of this one.
func loadAs(cmd *cobra.Command, command string, other *cobra.Command, args []string) (*pflag.FlagSet, *configured, error) {
	flags := pflag.NewFlagSet(command, pflag.ContinueOnError)
	for _, name := range []string{flagConfig, flagEnv} {
		flags.AddFlag(cmd.Flags().Lookup(name))
	}
	flags.AddFlagSet(other.Flags())
	flags.AddFlagSet(other.InheritedFlags())
	if err := flags.Parse(args); err != nil {
		return flags, &configured{}, &usageError{err}
	}
	s, err := load(command, flags)
	return flags, s, err
}

// effective is what a command would run with.
type effective struct {
	Command  string        `json:"command"`
	File     string        `json:"file,omitempty"`
	Env      string        `json:"env,omitempty"`
	Settings []setting     `json:"settings"`
	Secrets  []secretState `json:"secrets,omitempty"`
}

type setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin origin `json:"origin"`
}

func effectiveOf(cmd *cobra.Command, args []string) (effective, error) {
	if len(args) == 0 {
		args = []string{"serve"}
	}
	other, rest, err := newRoot().Find(args)
	if err != nil {
		return effective{}, &usageError{err}
	}
	command := commandOf(other)
	if !other.Runnable() || other.HasSubCommands() || command == "" {
		return effective{}, misuse("%s: want a command, such as serve or guest book", strings.Join(args, " "))
	}
	flags, s, err := loadAs(cmd, command, other, rest)
	if err != nil {
		return effective{}, &usageError{s.where(err)}
	}
	e := effective{Command: command, File: s.path, Env: s.env}
	if f := flags.Lookup("data"); f != nil {
		if e.Secrets, err = secretStates(f.Value.String()); err != nil {
			return effective{}, err
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != flagConfig && f.Name != flagEnv {
			e.Settings = append(e.Settings, setting{f.Name, shown(f), s.origins[f.Name]})
		}
	})
	if o, ok := s.origins[consentKey]; ok {
		e.Settings = append(e.Settings, setting{consentKey, fmt.Sprint(s.consent), o})
	}
	return e, nil
}

// shown is a flag's value as it may be shown: of URLs that may have a key in them
// only where they lead to.
func shown(f *pflag.Flag) string {
	list, is := f.Value.(pflag.SliceValue)
	values := []string{f.Value.String()}
	if is {
		values = list.GetSlice()
	}
	if f.Name == "rpc" || f.Name == "facilitator" {
		for i, v := range values {
			values[i] = place(v)
		}
	}
	return strings.Join(values, ",")
}

// place is where a URL leads to, without what may be secret in it.
func place(address string) string {
	u, err := url.Parse(address)
	switch {
	case address == "" || address == local:
		return address
	case err != nil || u.Host == "":
		return "hidden"
	}
	at := u.Scheme + "://" + u.Host
	if u.User == nil && u.RawQuery == "" && u.Fragment == "" && strings.Trim(u.Path, "/") == "" {
		return at
	}
	return at + "/…"
}

func (e effective) show(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tVALUE\tORIGIN")
	for _, s := range e.Settings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Key, or(plain(s.Value)), s.Origin)
	}
	if len(e.Secrets) > 0 {
		fmt.Fprintln(w, "\nSECRET\tVALUE\tORIGIN")
	}
	for _, s := range e.Secrets {
		state := "not set"
		if s.Set {
			state = "set"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, state, or(s.Origin))
	}
	return w.Flush()
}

func newConfigInit() *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "Write a configuration file to start from",
		Long:  "Writes " + configName + " (or the file of --config) with comments, to be edited. It overwrites nothing.",
		Args:  cobra.NoArgs,
		// The file is about to be made: what is wrong with one need not be known.
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := cmd.Flags().Lookup(flagConfig).Value.String()
			if v, ok := os.LookupEnv(variableOf(flagConfig)); ok && !cmd.Flags().Changed(flagConfig) {
				path = v
			}
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s is there already, and is left as it is", path)
			}
			if err != nil {
				return err
			}
			_, err = io.WriteString(file, startingConfig)
			if err = errors.Join(err, file.Close()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is written; 'concierge config' shows what holds.\n", path)
			return err
		},
	}
}

const startingConfig = `# The keys are the flags of 'concierge serve'; docs/reference/configuration.md lists
# them. A flag beats its environment variable, and that beats this file.
# Secrets do not belong here: 'concierge secret put NAME'.

data = "./data"
network = "devnet" # play money, on a chain in this process
# public-url = "https://events.example.org"
# log-format = "json"

# What holds with --env staging (or CONCIERGE_ENV=staging), over what is above.
[env.staging]
network = "base-sepolia"
facilitator = ["https://x402.org/facilitator"]

[env.production]
network = "base"
facilitator = ["https://facilitator.example.org"]
registration = "invite"
# Payments are in real money. Without this line nothing starts.
# mainnet-consent = true

# What other commands have of their own.
# [facilitator]
# addr = "127.0.0.1:8403"
`
