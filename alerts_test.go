package concierge_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every alert is seen to fire by the tests of deploy/prometheus, which promtool runs.
func TestAlertsFire(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile("deploy/prometheus/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	alerts := regexp.MustCompile(`(?m)^ *- alert: (\w+)$`).FindAllStringSubmatch(read("alerts.yml"), -1)
	if len(alerts) < 10 {
		t.Errorf("%d alerts", len(alerts))
	}
	// Counted among those that fire, or expected with its labels.
	firing := regexp.MustCompile(`\{alertname="(\w+)"\}', value: [1-9]|alertname: (\w+)\n +exp_alerts:\n +- exp_labels`)
	seen := map[string]bool{}
	for _, m := range firing.FindAllStringSubmatch(read("alerts_test.yml"), -1) {
		seen[strings.Join(m[1:], "")] = true
	}
	for _, a := range alerts {
		if !seen[a[1]] {
			t.Errorf("no test has %s fire", a[1])
		}
	}
}
