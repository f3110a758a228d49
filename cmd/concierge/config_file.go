package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// configName is the configuration file that is read without being named.
const configName = "concierge.toml"

// maxConfig is the most that is read of a configuration file, in bytes.
const maxConfig = 64 << 10

// consentKey is the one key that is no flag: see mainnet.go.
const consentKey = "mainnet-consent"

// section is a table of a configuration file. The zero value is its top level.
type section struct {
	env   string // [env.NAME]
	table string // of a command: [devnet], [env.NAME.guest]
}

func (s section) String() string {
	switch {
	case s.env != "" && s.table != "":
		return "[env." + s.env + "." + s.table + "]"
	case s.env != "":
		return "[env." + s.env + "]"
	case s.table != "":
		return "[" + s.table + "]"
	}
	return ""
}

// entry is a key of a configuration file with its value: a string, an int64, a
// float64, a bool, or an []any of them.
type entry struct {
	section
	key   string
	value any
	line  int
}

// problem is a mistake in a configuration file.
type problem struct {
	line int // 0: not known
	text string
}

// configFile is a configuration file that was read.
type configFile struct {
	path    string
	entries []entry
	envs    []string // that there are
}

// readConfig reads the text of a configuration file.
func readConfig(path string) (string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", err
	case info.IsDir():
		return "", fmt.Errorf("%s is a directory: name the file in it", path)
	case info.Mode().IsRegular() && info.Mode().Perm()&0o002 != 0:
		return "", fmt.Errorf("everybody may write to %s, and so decide what this program does: chmod o-w it", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(text) > maxConfig {
		err = fmt.Errorf("%s has more than %d bytes: it is no configuration file", path, maxConfig)
	}
	return string(text), err
}

// decodeConfig takes the TOML of a configuration file apart. Which keys there are,
// and what they may hold, is for others to say: see [catalogue.check].
func decodeConfig(text string) (configFile, []problem) {
	d := configDecoder{}
	var top map[string]toml.Primitive
	md, err := toml.Decode(text, &top)
	if err != nil {
		return d.file, []problem{syntaxProblem(err)}
	}
	d.md = md
	for key, p := range top {
		value, line := d.value(p)
		_, isTable := value.(map[string]any)
		switch {
		case key == "env" && isTable:
			d.environments(p)
		case key == "env":
			d.fault(line, "env is the sections [env.NAME], of which --env chooses one")
		default:
			d.add(section{}, key, p)
		}
	}
	slices.SortFunc(d.file.entries, func(a, b entry) int { return a.line - b.line })
	slices.Sort(d.file.envs)
	return d.file, d.problems
}

func syntaxProblem(err error) problem {
	var where toml.ParseError
	if errors.As(err, &where) {
		return problem{where.Position.Line, "this is not TOML: " + where.Message}
	}
	return problem{0, "this is not TOML: " + strings.TrimPrefix(err.Error(), "toml: ")}
}

type configDecoder struct {
	md       toml.MetaData
	file     configFile
	problems []problem
}

func (d *configDecoder) fault(line int, format string, args ...any) {
	d.problems = append(d.problems, problem{line, fmt.Sprintf(format, args...)})
}

// environments takes the tables below [env] apart.
func (d *configDecoder) environments(p toml.Primitive) {
	for name, p := range d.table(p) {
		value, line := d.value(p)
		if _, is := value.(map[string]any); !is {
			d.fault(line, "env.%s: want a section [env.NAME], whose keys hold with --env NAME", nameIn(name))
			continue
		}
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			d.fault(line, "env.%s: want a name of letters, digits, - and _", nameIn(name))
			continue
		}
		d.file.envs = append(d.file.envs, name)
		for key, p := range d.table(p) {
			d.add(section{env: name}, key, p)
		}
	}
}

// add adds a key, or a command's table with all of its keys.
func (d *configDecoder) add(s section, key string, p toml.Primitive) {
	value, line := d.value(p)
	if _, is := value.(map[string]any); !is {
		d.file.entries = append(d.file.entries, entry{s, key, value, line})
		return
	}
	if s.table != "" {
		d.fault(line, "%s %s: there is no such section", s, nameIn(key))
		return
	}
	s.table = key
	for key, p := range d.table(p) {
		d.add(s, key, p)
	}
}

func (d *configDecoder) table(p toml.Primitive) map[string]toml.Primitive {
	var t map[string]toml.Primitive
	if err := d.md.PrimitiveDecode(p, &t); err != nil {
		d.problems = append(d.problems, syntaxProblem(err))
	}
	return t
}

// value returns what a key holds, and its line. The library tells the line in
// errors alone, so it is given one.
func (d *configDecoder) value(p toml.Primitive) (any, int) {
	v := &probe{}
	var where toml.ParseError
	errors.As(d.md.PrimitiveDecode(p, v), &where)
	return v.value, where.Position.Line
}

type probe struct{ value any }

var errProbe = errors.New("probe")

// UnmarshalTOML implements [toml.Unmarshaler].
func (p *probe) UnmarshalTOML(v any) error {
	p.value = v
	return errProbe
}

// nameIn is a stranger's name in a message: a plain one as it is.
func nameIn(name string) string {
	if name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == "" {
		return name
	}
	return fmt.Sprintf("%.80q", name)
}
