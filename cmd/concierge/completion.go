package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// choices are the flags with few values, for the shell.
func choices() map[string][]string {
	return map[string][]string{
		"network":      {onDevnet, onBaseSepolia, onBase},
		"log-level":    {"debug", "info", "warn", "error"},
		"log-format":   {"text", "json"},
		"level":        {"debug", "info", "warn", "error"},
		"registration": {"open", "invite", "closed"},
		"wallets":      {walletsLocal, walletsCrossmint},
		"scope":        {"owner", "check-in", "read"},
		"facilitator":  {local},
		"status":       {"ok", "error"},
		"format":       {"pretty", "json"},
	}
}

// complete has the shell complete values of flags, and no files where a command takes
// none.
func complete(root *cobra.Command) {
	_ = root.MarkPersistentFlagFilename(flagConfig, "toml")
	_ = root.RegisterFlagCompletionFunc(flagEnv, completeEnv)
	completeBelow(root, choices())
}

func completeBelow(cmd *cobra.Command, few map[string][]string) {
	if cmd.ValidArgsFunction == nil && !strings.Contains(cmd.Use, "FILE") {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch values, known := few[f.Name]; {
		case known:
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
		case f.Name == "data" || f.Name == "home":
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs))
		}
	})
	for _, sub := range cmd.Commands() {
		completeBelow(sub, few)
	}
}

// completeEnv names the environments of the configuration file. It says nothing of
// what is wrong with it: that comes when the command is run.
func completeEnv(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	path := configName
	if given, ok := os.LookupEnv(variableOf(flagConfig)); ok {
		path = given
	}
	if f := cmd.Flags().Lookup(flagConfig); f != nil && f.Changed {
		path = f.Value.String()
	}
	text, err := readConfig(filepath.Clean(path))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	file, _ := decodeConfig(text)
	return file.envs, cobra.ShellCompDirectiveNoFileComp
}
