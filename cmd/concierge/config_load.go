package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Persistent flags of the program that say which file is read, and how.
const (
	flagConfig = "config"
	flagEnv    = "env"
)

// Kinds of an origin.
const (
	fromFlag     = "flag"
	fromVariable = "variable"
	fromFile     = "file"
	fromDefault  = "default"
)

// origin says where a value comes from.
type origin struct {
	Kind     string `json:"kind"` // flag, variable, file or default
	Variable string `json:"variable,omitempty"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Section  string `json:"section,omitempty"` // such as [env.production]; none: the top level
}

func (o origin) String() string {
	switch o.Kind {
	case fromVariable:
		return o.Variable
	case fromFile:
		return strings.TrimSpace(fmt.Sprintf("%s:%d %s", o.File, o.Line, o.Section))
	}
	return o.Kind
}

// configured is where the values of a command's flags come from: the flag itself
// beats its variable, that the file's section of the environment, that the file's
// base, and that the default.
type configured struct {
	path    string // of the file that is read; "": there is none
	env     string // "": the base alone
	origins map[string]origin
	consent bool // to payments in real money, by the file
}

type configuredKey struct{}

// configuredOf returns what was found for a command that is running.
func configuredOf(cmd *cobra.Command) *configured {
	if cmd != nil && cmd.Context() != nil {
		if s, ok := cmd.Context().Value(configuredKey{}).(*configured); ok {
			return s
		}
	}
	return &configured{}
}

// configure fills the flags of a command that is about to run, and keeps where
// their values come from in its context.
func configure(cmd *cobra.Command) error {
	s, err := load(commandOf(cmd), cmd.Flags())
	cmd.SetContext(context.WithValue(cmd.Context(), configuredKey{}, s))
	return err
}

// reload fills the flags of fresh, a command of the same kind with nothing set, as
// those of a running one would be now: what was given on the command line stays, the
// variables stay, the file is read anew. It returns the names of those that differ.
// After an error fresh is of no use, and the running one goes on as it is.
func reload(running, fresh *cobra.Command) (changed []string, _ *configured, err error) {
	given := pflag.NewFlagSet("given", pflag.ContinueOnError)
	for _, name := range []string{flagConfig, flagEnv} {
		if f := running.Flags().Lookup(name); f != nil {
			given.AddFlag(f)
		}
	}
	running.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && fresh.Flags().Lookup(f.Name) != nil {
			err = errors.Join(err, copyFlag(fresh.Flags().Lookup(f.Name), f))
		}
	})
	if err != nil {
		return nil, nil, err
	}
	flags := pflag.NewFlagSet("fresh", pflag.ContinueOnError)
	flags.AddFlagSet(fresh.Flags())
	flags.AddFlagSet(given)
	s, err := load(commandOf(running), flags)
	if err != nil {
		return nil, nil, err
	}
	fresh.Flags().VisitAll(func(f *pflag.Flag) {
		if was := running.Flags().Lookup(f.Name); was != nil && was.Value.String() != f.Value.String() {
			changed = append(changed, f.Name)
		}
	})
	if configuredOf(running).consent != s.consent {
		changed = append(changed, consentKey)
	}
	return changed, s, nil
}

func copyFlag(to, from *pflag.Flag) error {
	to.Changed = true
	if list, is := from.Value.(pflag.SliceValue); is {
		return to.Value.(pflag.SliceValue).Replace(list.GetSlice())
	}
	return to.Value.Set(from.Value.String())
}

// variableOf is the environment variable of a flag: --data has CONCIERGE_DATA.
func variableOf(flag string) string {
	return "CONCIERGE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// load fills flags of a command that were not given from their variables, and then
// from the file. They still count as not given: what a person says once is Changed,
// what always holds is not. All mistakes are told at once.
func load(command string, flags *pflag.FlagSet) (*configured, error) {
	s := &configured{origins: map[string]origin{}}
	var mistakes []error
	flags.VisitAll(func(f *pflag.Flag) {
		if err := s.fromVariable(f); err != nil {
			mistakes = append(mistakes, err)
		}
	})
	file, err := s.open(command, flags)
	if err != nil {
		mistakes = append(mistakes, err)
	}
	if file != nil && err == nil {
		err := s.fill(command, flags, file)
		mistakes = append(mistakes, err)
	}
	if err := errors.Join(mistakes...); err != nil {
		return s, &usageError{err}
	}
	return s, s.mainnet(command, flags)
}

// fromVariable fills a flag from its variable.
func (s *configured) fromVariable(f *pflag.Flag) error {
	s.origins[f.Name] = origin{Kind: fromDefault}
	name := variableOf(f.Name)
	value, ok := os.LookupEnv(name)
	switch {
	case f.Name == "help" || f.Name == "version":
	case f.Changed:
		s.origins[f.Name] = origin{Kind: fromFlag}
	case ok:
		s.origins[f.Name] = origin{Kind: fromVariable, Variable: name}
		if err := f.Value.Set(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// open reads the file that the flags name, or the one of the working directory. A
// Guest reads only one that was named: the folder that it is started in may be
// somebody else's, and the file says what may be spent from the wallet.
func (s *configured) open(command string, flags *pflag.FlagSet) (*configFile, error) {
	named, env := flags.Lookup(flagConfig), flags.Lookup(flagEnv)
	if named == nil || env == nil {
		return nil, nil
	}
	path, implied := named.Value.String(), s.origins[flagConfig].Kind == fromDefault
	s.env = env.Value.String()
	if implied && tableOf(command) == tableGuest {
		if s.origins[flagEnv].Kind == fromFlag {
			return nil, errors.New("--env needs --config: a Guest reads only a configuration file that is named")
		}
		return nil, nil
	}
	if implied && !s.takesAny(command, flags) {
		return nil, nil
	}
	text, err := readConfig(path)
	switch {
	case implied && errors.Is(err, fs.ErrNotExist):
		if s.env != "" {
			return nil, fmt.Errorf("--env %s: there is no %s here to have an [env.%s] in; name the file with --config", nameIn(s.env), configName, s.env)
		}
		return nil, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("--config: there is no file %s", path)
	case err != nil:
		return nil, fmt.Errorf("--config: %w", err)
	}
	s.path = path
	return parseConfig(path, text)
}

// takesAny reports whether a command has a flag that may stand in a file. One that
// has none does not fail over a file that it has no use for.
func (s *configured) takesAny(command string, flags *pflag.FlagSet) bool {
	table := tableOf(command)
	own, _ := keysOf(table)
	found := false
	flags.VisitAll(func(f *pflag.Flag) { found = found || own.Lookup(f.Name) != nil })
	return found || command == "config" || strings.HasPrefix(command, "config ")
}

// maxProblems is how many mistakes of a file are told at once.
const maxProblems = 20

// parseConfig reads the text of a file, or tells all that is wrong with it.
func parseConfig(path, text string) (*configFile, error) {
	file, problems := decodeConfig(text)
	file.path = path
	problems = append(problems, file.checkKeys()...)
	slices.SortStableFunc(problems, func(a, b problem) int { return cmp.Or(a.line-b.line, strings.Compare(a.text, b.text)) })
	var all []error
	for i, p := range problems {
		switch {
		case i == maxProblems:
			all = append(all, fmt.Errorf("%s: and %d more", path, len(problems)-i))
		case i > maxProblems:
		case p.line == 0:
			all = append(all, fmt.Errorf("%s: %s", path, p.text))
		default:
			all = append(all, fmt.Errorf("%s:%d: %s", path, p.line, p.text))
		}
	}
	return &file, errors.Join(all...)
}

// fill gives flags that have no value yet what the file says.
func (s *configured) fill(command string, flags *pflag.FlagSet, file *configFile) error {
	if s.env != "" && !slices.Contains(file.envs, s.env) {
		there := "it has no [env.NAME]"
		if len(file.envs) > 0 {
			there = "there are " + strings.Join(file.envs, ", ")
		}
		return fmt.Errorf("--env %s: %s has no section [env.%s]%s; %s", nameIn(s.env), file.path, s.env, suggestion(s.env, file.envs), there)
	}
	var mistakes []error
	keys, _ := keysOf(tableOf(command))
	flags.VisitAll(func(f *pflag.Flag) {
		if keys.Lookup(f.Name) == nil {
			return
		}
		e, ok := file.find(command, s.env, f.Name)
		if !ok || s.origins[f.Name].Kind != fromDefault {
			return
		}
		s.origins[f.Name] = origin{Kind: fromFile, File: file.path, Line: e.line, Section: e.section.String()}
		if err := set(f, e.value); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s:%d: %s: %w", file.path, e.line, f.Name, err))
		}
	})
	if e, ok := file.find("", s.env, consentKey); ok {
		s.consent, _ = e.value.(bool)
		s.origins[consentKey] = origin{Kind: fromFile, File: file.path, Line: e.line, Section: e.section.String()}
	}
	return errors.Join(mistakes...)
}

// find returns what the file says about a command's flag. The environment's sections
// are laid over the base; in what comes of it a command's own table is nearer.
func (c *configFile) find(command, env, key string) (entry, bool) {
	table := tableOf(command)
	var in []section
	for _, t := range slices.Compact([]string{table, ""}) {
		if t != table && !inherits(table, key) {
			continue
		}
		if env != "" {
			in = append(in, section{env, t})
		}
		in = append(in, section{"", t})
	}
	for _, s := range in {
		for _, e := range c.entries {
			if e.section == s && e.key == key {
				return e, true
			}
		}
	}
	return entry{}, false
}

var flagInText = regexp.MustCompile(`--([a-z][a-z0-9-]*)`)

// where adds to a complaint about flags, which names them as flags, where those of
// them come from that were not given as such.
func (s *configured) where(err error) error {
	var notes []string
	for _, m := range flagInText.FindAllStringSubmatch(err.Error(), -1) {
		o, ok := s.origins[m[1]]
		if ok && (o.Kind == fromFile || o.Kind == fromVariable) {
			notes = append(notes, fmt.Sprintf("%s is from %s", m[1], o))
		}
	}
	slices.Sort(notes)
	if notes = slices.Compact(notes); len(notes) == 0 {
		return err
	}
	before := " "
	if strings.Contains(err.Error(), "\n") { // it is not about the last of them alone
		before = "\n"
	}
	return fmt.Errorf("%w%s(%s)", err, before, strings.Join(notes, ", "))
}
