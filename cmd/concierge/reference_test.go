package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

var (
	update = flag.Bool("update", false, "write the generated pages of docs/reference anew")
	manDir = flag.String("man", "", "folder to write the man pages into")
)

// The reference is made from the commands themselves: `make docs` writes it, and this
// fails when that was forgotten.
func TestReference(t *testing.T) {
	for name, text := range map[string]string{"commands.md": commandsPage(), "configuration.md": configurationPage()} {
		path := filepath.Join("..", "..", "docs", "reference", name)
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if was, err := os.ReadFile(path); err != nil || string(was) != text {
			t.Errorf("%s is stale (%v): run 'make docs', and commit what it writes", path, err)
		}
	}
}

// There is a man page of every command that people see.
func TestManPages(t *testing.T) {
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root := documented()
	if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "Events Concierge", Manual: "Events Concierge"}, dir); err != nil {
		t.Fatal(err)
	}
	for _, c := range commandsOf(root) {
		page, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(c.CommandPath(), " ", "-")+".1"))
		if err != nil || !bytes.Contains(page, []byte(".SH SYNOPSIS")) {
			t.Errorf("%s: %v", c.CommandPath(), err)
		}
	}
}

// The shell is told values where there are few, and the environments of the file.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "c.toml"), "[env.staging]\n[env.production]\nnonsense = 1")
	for args, want := range map[string]string{
		"serve --network ":                               "devnet\nbase-sepolia\nbase\n:4\n",
		"serve --log-format ":                            "text\njson\n:4\n",
		"serve --config " + dir + "/c.toml --env ":       "production\nstaging\n:4\n",
		"serve --config " + dir + "/nowhere.toml --env ": ":4\n",
		"serve --config ":                                "toml\n:8\n",
		"serve --data ":                                  ":16\n",
		"serve ":                                         ":4\n",
		"receipt verify ":                                ":0\n",
		"config c":                                       "check\tLook whether serve would take the configuration\n:4\n",
	} {
		if got := output(t, "", append([]string{"__complete"}, strings.Split(args, " ")...)...); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := output(t, "", "completion", shell); !strings.Contains(got, "concierge") {
			t.Errorf("%s: %s", shell, got)
		}
	}
}

// documented is the program with what a machine decides left out.
func documented() *cobra.Command {
	root := newRoot()
	root.InitDefaultCompletionCmd()
	root.DisableAutoGenTag = true
	for _, c := range commandsOf(root) {
		c.InitDefaultHelpFlag()
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "browser" {
				f.DefValue = "true where there is a display"
			}
		})
	}
	return root
}

// commandsOf are the commands that people see, in the order of their names.
func commandsOf(c *cobra.Command) (all []*cobra.Command) {
	if c.Hidden || c.Name() == "help" {
		return nil
	}
	all = append(all, c)
	for _, sub := range c.Commands() {
		all = append(all, commandsOf(sub)...)
	}
	return all
}

const generated = "<!-- Made by `make docs` from the commands themselves; edit those. -->\n"

func commandsPage() string {
	var b strings.Builder
	root := documented()
	b.WriteString(`# Commands

` + generated + `
Exit codes: 0 done, 1 failed, 2 wrong usage. Each flag has an environment variable (` + "`--data`" + ` is ` + "`CONCIERGE_DATA`" + `), and those
of a server a key in ` + "`concierge.toml`" + `: see [configuration.md](configuration.md). Secrets are never flags: see
[how-to/secrets.md](../how-to/secrets.md). ` + "`concierge completion SHELL`" + ` prints completions for bash, zsh, fish and PowerShell; ` + "`make man`" + `
makes man pages.

`)
	all := commandsOf(root)[1:]
	b.WriteString("| command | does |\n|---|---|\n")
	for _, c := range all {
		if c.Runnable() && !c.HasAvailableSubCommands() || c.Name() == "config" {
			fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", commandOf(c), anchor(c), c.Short)
		}
	}
	b.WriteString("\nAll of them take:\n\n")
	b.WriteString(flagTable(root.PersistentFlags()))
	for _, c := range all {
		if c.HasAvailableSubCommands() && c.Name() != "config" {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n\n```\n%s\n```\n", c.CommandPath(), c.Short, c.UseLine())
		if c.Long != "" && c.Parent().Name() != "completion" {
			fmt.Fprintf(&b, "\n```text\n%s\n```\n", c.Long)
		}
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags.AddFlagSet(c.LocalFlags())
		c.InheritedFlags().VisitAll(func(f *pflag.Flag) {
			if root.PersistentFlags().Lookup(f.Name) == nil {
				flags.AddFlag(f)
			}
		})
		if table := flagTable(flags); table != "" {
			b.WriteString("\n" + table)
		}
	}
	return b.String()
}

func anchor(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// flagTable is a table of flags; "": there are none.
func flagTable(flags *pflag.FlagSet) string {
	var b strings.Builder
	for _, f := range keysIn(flags) {
		if f.Hidden {
			continue
		}
		kind, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, "| `--%s%s` | %s | %s |\n", f.Name, spaced(kind), defaultOf(f), inCell(usage))
	}
	if b.Len() == 0 {
		return ""
	}
	return "| flag | default | meaning |\n|---|---|---|\n" + b.String()
}

func spaced(kind string) string {
	if kind == "" {
		return ""
	}
	return " " + kind
}

// keysIn are the flags of a set but for --help, in the order of their names.
func keysIn(flags *pflag.FlagSet) (all []*pflag.Flag) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" {
			all = append(all, f)
		}
	})
	slices.SortFunc(all, func(a, b *pflag.Flag) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func defaultOf(f *pflag.Flag) string {
	text := f.DefValue
	switch {
	case f.Name == "browser":
		return "true where there is a display"
	case text == "" || text == "[]" || text == "false" && f.Value.Type() == "bool":
		return ""
	case f.Value.Type() == "duration":
		text = shortly(text)
	}
	return "`" + strings.Trim(text, "[]") + "`"
}

// shortly writes a duration as people do.
func shortly(text string) string {
	text = strings.TrimSuffix(text, "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// inCell is a text in a cell of a table.
func inCell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(text)
}

func configurationPage() string {
	var b strings.Builder
	b.WriteString(`# Configuration

` + generated + `
A flag beats its environment variable, that beats ` + "`concierge.toml`" + `, and that the default; in the file ` + "`[env.NAME]`" + ` (chosen
by ` + "`--env NAME`" + `) lies over what is outside of it. [how-to/configure.md](../how-to/configure.md) shows it at work, and
` + "`concierge config`" + ` what holds and where it is from.

The file is TOML, at most ` + fmt.Sprint(maxConfig) + ` bytes, and not writable by everybody. A key that is not listed here is an error.
It is ` + "`concierge.toml`" + ` of the working directory, or the one of ` + "`--config`" + ` (` + "`CONCIERGE_CONFIG`" + `). ` + "`concierge guest`" + ` and
` + "`concierge mcp guest`" + ` read only a file that is named: the folder that they are started in may be somebody else's.

## Top level, and [env.NAME]

For ` + "`concierge serve`" + `; every other command takes of it what it has a flag for.

`)
	b.WriteString(keyTable(""))
	for _, t := range []struct{ table, about string }{
		{tableDevnet, "For `concierge devnet`. Of the top level it takes"},
		{tableFacilitator, "For `concierge facilitator`. Of the top level it takes"},
		{tableGuest, "For `concierge guest` and `concierge mcp guest`. Of the top level they take"},
	} {
		fmt.Fprintf(&b, "\n## [%s], and [env.NAME.%s]\n\n%s, where this table does not say otherwise: %s.\n\n", t.table, t.table, t.about, inherited(t.table))
		b.WriteString(keyTable(t.table))
	}
	b.WriteString("\n## Secrets\n\nThey are in no file and no flag, but stored encrypted by `concierge secret put NAME`; the variable goes before what is\nstored. Those of a person are in the variable alone.\n\n| secret | variable | for |\n|---|---|---|\n")
	for _, k := range knownSecrets() {
		name := "`" + string(k.name) + "`"
		if k.personal {
			name = "(a person's)"
		}
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", name, k.variable, inCell(k.use))
	}
	return b.String()
}

func inherited(table string) string {
	top, _ := keysOf("")
	own, _ := keysOf(table)
	var names []string
	for _, f := range keysIn(own) {
		if top.Lookup(f.Name) != nil && inherits(table, f.Name) {
			names = append(names, "`"+f.Name+"`")
		}
	}
	return strings.Join(names, ", ")
}

func keyTable(table string) string {
	var b strings.Builder
	b.WriteString("| key | is written | default | variable | meaning |\n|---|---|---|---|---|\n")
	keys, _ := keysOf(table)
	for _, f := range keysIn(keys) {
		variable := "`" + variableOf(f.Name) + "`"
		if f.Name == consentKey {
			variable = "none, and no flag"
		}
		_, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", f.Name, example(f), defaultOf(f), variable, inCell(usage))
	}
	return b.String()
}

// example is a value as a file has it.
func example(f *pflag.Flag) string {
	kind, bare := f.Value.Type(), f.DefValue
	switch {
	case bare == "" || strings.HasPrefix(bare, "[") || kind == "bool" || kind == "strings":
	case kind == "int" || kind == "int64" || kind == "uint64" || kind == "float64":
		return bare
	case kind == "duration":
		return `"` + shortly(bare) + `"`
	default:
		return `"` + bare + `"`
	}
	switch kind {
	case "bool":
		return "true"
	case "int", "int64", "uint64":
		return "100"
	case "float64":
		return "2.5"
	case "duration":
		return `"90s"`
	case "usd":
		return `"2.50"`
	case "gwei":
		return `"0.5"`
	case "address":
		return `["0x00000000000000000000000000000000000000ff"]`
	case "cidr":
		return `["10.0.0.0/8"]`
	case "strings", "stringSlice", "stringArray":
		return `["a", "b"]`
	}
	return `"text"`
}
