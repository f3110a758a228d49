package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/spf13/cobra"
)

// Each flag that docs/reference/limits.md shows with a value has it by default.
func TestLimitsPageFlags(t *testing.T) {
	page, err := os.ReadFile("../../docs/reference/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := []*cobra.Command{newServe(), newFacilitator()}
	found := regexp.MustCompile("`--([a-z-]+) ([^` ]+)`").FindAllSubmatch(page, -1)
	if len(found) < 10 {
		t.Errorf("the page shows %d flags with their values", len(found))
	}
	for _, m := range found {
		name, shown, is := string(m[1]), string(m[2]), ""
		for _, c := range commands {
			if f := c.Flags().Lookup(name); f != nil && is == "" {
				is = f.DefValue
			}
		}
		if is != shown {
			t.Errorf("the page says --%s %s; it is %q", name, shown, is)
		}
	}
}
