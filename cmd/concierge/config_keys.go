package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Tables of commands in a configuration file.
const (
	tableDevnet      = "devnet"
	tableFacilitator = "facilitator"
	tableGuest       = "guest"
)

// guestKeys are the flags of a Guest that may stand in a file. The others are about
// one booking, or one answer.
var guestKeys = []string{"network", "rpc", "home", "wallet", "keyring", "host", "max-price", "browser"}

// tableOf is the table of a command, by its path without the program's name; "":
// the top level.
func tableOf(command string) string {
	first, second, _ := strings.Cut(command, " ")
	switch {
	case first == tableDevnet, first == tableFacilitator, first == tableGuest:
		return first
	case first == "mcp" && second == "guest":
		return tableGuest
	}
	return ""
}

// keysOf are the flags that are keys of a table, with nothing set. The top level has
// those of serve.
func keysOf(table string) (*pflag.FlagSet, bool) {
	keys := pflag.NewFlagSet(table, pflag.ContinueOnError)
	switch table {
	case "":
		keys.AddFlagSet(newServe().Flags())
		keys.Bool(consentKey, false, "consent to payments in real money, with --network base: refused without it. In the file only")
	case tableDevnet:
		keys.AddFlagSet(newDevnet().Flags())
	case tableFacilitator:
		keys.AddFlagSet(newFacilitator().Flags())
	case tableGuest:
		for _, c := range append([]*cobra.Command{newMCPGuest()}, newGuest().Commands()...) {
			c.Flags().VisitAll(func(f *pflag.Flag) {
				if slices.Contains(guestKeys, f.Name) && keys.Lookup(f.Name) == nil {
					keys.AddFlag(f)
				}
			})
		}
	default:
		return nil, false
	}
	return keys, true
}

// inherits reports whether a command with a table takes a key of the top level, too.
// Where it listens is its own.
func inherits(table, key string) bool {
	return table == "" || key != "addr" && slices.Contains([]string{"network", "rpc", "confirmations", "wallet-factory",
		"max-gas-price", "gas-keystore", "log-level", "log-format"}, key)
}

// checkKeys finds what is wrong with the keys of a file: those that there are not,
// and values that their flags don't take. It looks at every section, not only at
// those that hold now.
func (c *configFile) checkKeys() (problems []problem) {
	sections := map[section]*pflag.FlagSet{}
	unknown := map[section]bool{}
	for _, e := range c.entries {
		keys := sections[e.section]
		if keys == nil {
			var ok bool
			if keys, ok = keysOf(e.table); !ok {
				if !unknown[e.section] {
					problems = append(problems, problem{e.line, fmt.Sprintf("there is no section %s%s (there are [env.NAME], [devnet], [facilitator] and [guest])",
						nameIn(e.table), suggestion(e.table, []string{tableDevnet, tableFacilitator, tableGuest}))})
				}
				unknown[e.section] = true
				continue
			}
			sections[e.section] = keys
		}
		if text := e.fault(keys); text != "" {
			problems = append(problems, problem{e.line, strings.TrimSpace(e.section.String()+" ") + pad(e.section) + text})
		}
	}
	return problems
}

func pad(s section) string {
	if s == (section{}) {
		return ""
	}
	return " "
}

// fault says what is wrong with an entry; "": nothing.
func (e entry) fault(keys *pflag.FlagSet) string {
	f := keys.Lookup(e.key)
	if f == nil {
		if name, is := secretKey(e.key); is {
			return fmt.Sprintf("%s: secrets do not belong into this file; %s", nameIn(e.key), keepSecret(name))
		}
		var names []string
		keys.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		return fmt.Sprintf("%s: there is no such key%s", nameIn(e.key), suggestion(e.key, names))
	}
	if err := set(f, e.value); err != nil {
		return fmt.Sprintf("%s: %v", e.key, err)
	}
	return ""
}

// set gives a flag a file's value.
func set(f *pflag.Flag, value any) error {
	texts, err := textsOf(f.Value.Type(), value)
	if err != nil {
		return err
	}
	if list, is := f.Value.(pflag.SliceValue); is {
		return list.Replace(texts)
	}
	if len(texts) == 0 {
		return errors.New("the list is empty: leave the key out")
	}
	err = f.Value.Set(strings.Join(texts, ","))
	if err != nil && f.Value.Type() == "duration" {
		return fmt.Errorf(`want a time such as "90s" or "24h", not %.40q`, texts[0])
	}
	return err
}

// textsOf returns a value as its flag would be given it; of a list each one.
func textsOf(kind string, value any) ([]string, error) {
	var want string
	switch kind {
	case "bool":
		if b, is := value.(bool); is {
			return []string{strconv.FormatBool(b)}, nil
		}
		want = "true or false, without quotes"
	case "int", "int64", "uint64":
		if n, is := value.(int64); is && (n >= 0 || kind != "uint64") {
			return []string{strconv.FormatInt(n, 10)}, nil
		}
		want = "a whole number, without quotes"
		if kind == "uint64" {
			want = "a whole number of 0 or more, without quotes"
		}
	case "float64":
		switch n := value.(type) {
		case int64:
			return []string{strconv.FormatInt(n, 10)}, nil
		case float64:
			return []string{strconv.FormatFloat(n, 'g', -1, 64)}, nil
		}
		want = "a number, without quotes"
	case "stringSlice", "stringArray", "strings", "address", "cidr":
		if list, is := value.([]any); is {
			return listOf(list)
		}
		fallthrough
	default:
		if s, is := value.(string); is {
			return []string{s}, nil
		}
		want = map[string]string{"duration": `a time in quotes, such as "90s"`, "usd": `an amount in quotes, such as "2.50"`,
			"gwei": `a number in quotes, such as "0.5"`, "address": `an address in quotes, or a list: ["0x…"]`,
			"cidr": `a block in quotes, or a list: ["10.0.0.0/8"]`, "stringSlice": `a text in quotes, or a list: ["a", "b"]`,
			"strings": `a text in quotes, or a list: ["a", "b"]`, "stringArray": `a text in quotes, or a list: ["a", "b"]`}[kind]
	}
	return nil, fmt.Errorf("want %s, not %s", cmp.Or(want, "a text in quotes"), kindOf(value))
}

func listOf(list []any) ([]string, error) {
	texts := []string{}
	for i, v := range list {
		s, is := v.(string)
		if !is {
			return nil, fmt.Errorf("number %d of the list: want a text in quotes, not %s", i+1, kindOf(v))
		}
		texts = append(texts, s)
	}
	return texts, nil
}

func kindOf(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the text %.40q", v)
	case bool:
		return strconv.FormatBool(v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	case []any:
		return "a list"
	case map[string]any, []map[string]any:
		return "a table"
	}
	return "a date"
}

// suggestion names the known name that is nearest to one, if one is near.
func suggestion(name string, known []string) string {
	best, least := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(strings.ToLower(strings.ReplaceAll(name, "_", "-")), k); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's, of the first 64 bytes.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(row[j]+1, row[j+1]+1, change)
		}
	}
	return row[len(b)]
}

// commandOf is a command's path without the program's name.
func commandOf(cmd *cobra.Command) string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	return path
}
