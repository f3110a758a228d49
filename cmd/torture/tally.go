package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
)

// tally counts what happened, by group and name.
type tally struct {
	mu sync.Mutex
	n  map[string]map[string]int
}

func newTally() *tally { return &tally{n: map[string]map[string]int{}} }

func (t *tally) add(group, name string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n[group] == nil {
		t.n[group] = map[string]int{}
	}
	t.n[group][name] += n
}

// sum returns the total of a group.
func (t *tally) sum(group string) (sum int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.n[group] {
		sum += n
	}
	return sum
}

// print writes one line for each name, the groups in alphabetical order.
func (t *tally) print(out io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, group := range slices.Sorted(maps.Keys(t.n)) {
		for _, name := range slices.Sorted(maps.Keys(t.n[group])) {
			fmt.Fprintf(w, "%s\t%s\t%d\t\n", group, name, t.n[group][name])
		}
	}
	_ = w.Flush()
}
