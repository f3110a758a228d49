package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// figure is one line of what was found out: the product's value beside a
// baseline that was measured in the same run, medians of all rounds.
type figure struct {
	Name     string  `json:"name"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
	Baseline string  `json:"baseline,omitempty"`
	Base     float64 `json:"baseline_value,omitempty"`
	// Ratio is the median of the rounds' ratios, Value itself where there is no
	// baseline. It must not be below Least, nor above Most; zero: no such bar.
	Ratio float64 `json:"ratio"`
	Least float64 `json:"at_least,omitempty"`
	Most  float64 `json:"at_most,omitempty"`
	Met   bool    `json:"met"`
	// Of the product, where it was called over HTTP.
	P50 float64 `json:"p50_ms,omitempty"`
	P99 float64 `json:"p99_ms,omitempty"`
	CPU float64 `json:"server_cpu_ms,omitempty"` // a call
}

// judge says whether a figure is within its bars, widened by slack.
func (f *figure) judge(slack float64) {
	f.Met = (f.Least == 0 || f.Ratio*slack >= f.Least) && (f.Most == 0 || f.Ratio <= f.Most*slack)
}

func (f figure) bar() string {
	switch {
	case f.Least > 0:
		return fmt.Sprintf(">= %.4g", f.Least)
	case f.Most > 0:
		return fmt.Sprintf("<= %.4g", f.Most)
	}
	return ""
}

func show(out io.Writer, all []figure) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIGURE\tVALUE\tUNIT\tBASELINE\tITS VALUE\tRATIO\tBAR\t\tP50 MS\tP99 MS\tCPU MS")
	for _, f := range all {
		base, met := "", ""
		if f.Baseline != "" {
			base = number(f.Base)
		}
		switch {
		case f.bar() == "":
		case f.Met:
			met = "met"
		default:
			met = "MISSED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, number(f.Value), f.Unit, f.Baseline, base,
			number(f.Ratio), f.bar(), met, blank(f.P50), blank(f.P99), blank(f.CPU))
	}
	return w.Flush()
}

func showJSON(out io.Writer, all []figure) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"figures": all})
}

func number(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func blank(v float64) string {
	if v == 0 {
		return ""
	}
	return number(v)
}

// median of some values; zero of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	values = slices.Sorted(slices.Values(values))
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
