package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/admin"
)

// recordPrinter shows log records to a person, one a line.
type recordPrinter struct {
	out    io.Writer
	json   bool
	colour bool
}

func newRecordPrinter(out io.Writer, format string) recordPrinter {
	return recordPrinter{out: out, json: format == "json", colour: isTerminal(out) && os.Getenv("NO_COLOR") == ""}
}

// field is a member of a record, in its order.
type field struct{ key, value string }

// print shows a record, a line of JSON.
func (p recordPrinter) print(line []byte) error {
	if p.json {
		_, err := fmt.Fprintf(p.out, "%s\n", line)
		return err
	}
	fields, err := fieldsOf(line)
	if err != nil {
		return fmt.Errorf("read a record: %w", err)
	}
	_, err = fmt.Fprintln(p.out, strings.TrimRight(p.pretty(fields), " "))
	return err
}

// fieldsOf reads a record. Values that are no strings are kept as they are written.
func fieldsOf(line []byte) (fields []field, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("it is no object (%v)", err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, err
		}
		f := field{key.(string), string(raw)}
		if len(raw) > 0 && raw[0] == '"' {
			if err := json.Unmarshal(raw, &f.value); err != nil {
				return nil, err
			}
		}
		fields = append(fields, f)
	}
	_, err = d.Token()
	return fields, err
}

func (p recordPrinter) pretty(fields []field) string {
	known := map[string]string{}
	for _, f := range fields {
		known[f.key] = f.value
	}
	at := known["time"]
	if t, err := time.Parse(time.RFC3339Nano, at); err == nil {
		at = t.Local().Format("15:04:05.000")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s  ", printable(at))
	shown := map[string]bool{"time": true, "level": true, "msg": true, admin.KeySeq: true}
	if known["msg"] != admin.MessageRequest {
		b.WriteString(p.paint(colourOf(known["level"]), fmt.Sprintf("%-5s", printable(known["level"]))) + " " + printable(known["msg"]))
	} else {
		p.request(&b, known)
		for _, key := range []string{"method", "route", "status", "dur", "tool", "request_id"} {
			shown[key] = true
		}
	}
	for _, f := range fields {
		if !shown[f.key] {
			b.WriteString("  " + p.attr(f))
		}
	}
	if id := known["request_id"]; id != "" && known["msg"] == admin.MessageRequest {
		b.WriteString("  " + p.paint(faint, "id="+printable(id)))
	}
	return b.String()
}

// request writes the columns of a request.
func (p recordPrinter) request(b *strings.Builder, known map[string]string) {
	what := known["tool"]
	if what == "" {
		_, what, _ = strings.Cut(known["route"], " ")
		if what == "" {
			what = known["route"]
		}
	}
	took := known["dur"]
	if ns, err := strconv.ParseInt(took, 10, 64); err == nil {
		took = short(time.Duration(ns))
	}
	fmt.Fprintf(b, "%s  %-6s  %-34s  %8s", p.paint(statusColour(known), fmt.Sprintf("%-3s", printable(known["status"]))),
		printable(known["method"]), printable(or(what)), printable(took))
}

// short writes a duration in few characters.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func (p recordPrinter) attr(f field) string {
	value := f.value
	switch f.key {
	case "amount":
		if amount, err := strconv.ParseInt(value, 10, 64); err == nil {
			value = "$" + x402.Amount(amount).USD()
		}
	case "code", "err", admin.KeyLost:
		return p.paint(red, printable(f.key)+"="+inQuotes(value))
	}
	return p.paint(faint, printable(f.key)+"=") + inQuotes(value)
}

// inQuotes returns a value, in quotes if it has spaces or what can't be printed.
func inQuotes(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r == ' ' || r == '"' || !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// printable returns a text without what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// Colours of a terminal.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
)

func (p recordPrinter) paint(colour, s string) string {
	if !p.colour || colour == "" {
		return s
	}
	return "\x1b[" + colour + "m" + s + "\x1b[0m"
}

func statusColour(known map[string]string) string {
	switch status := known["status"]; {
	case status >= "5":
		return red
	case status >= "4" || known["code"] != "":
		return yellow
	}
	return green
}

func colourOf(level string) string {
	switch level {
	case "ERROR":
		return red
	case "WARN":
		return yellow
	}
	return ""
}
