package concierge_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is this module's path.
const module = "github.com/events-concierge/concierge/"

// mayImport says which packages of this module a package may import; docs/
// explanation/architecture.md says why. A package that is not listed is not allowed to be.
var mayImport = map[string][]string{
	"server/limit":                 {},
	"server/forwarded":             {},
	"server/certificates":          {},
	"server/certificates/acmetest": {},
	"payments/x402":                {},
	"payments/evm":                 {"payments/x402"},
	"payments/wallet":              {"payments/x402", "payments/evm"},
	"payments/devnet":              {"payments/x402", "payments/evm"},
	"payments/crashpoint":          {},
	"payments/instant":             {"payments/x402", "payments/evm"},
	"payments/facilitator":         {"server/limit", "payments", "payments/x402", "payments/evm", "payments/tracing"},
	"payments":                     {"payments/x402", "payments/evm", "payments/crashpoint", "payments/tracing"},
	"store":                        {"payments", "payments/x402", "payments/crashpoint"},
	"store/archive":                {},
	"store/secrets":                {},
	"tools/calendar":               {},
	"tools":                        {"tools/calendar", "payments", "payments/x402", "store", "payments/tracing"},
	"server/host":                  {"tools", "payments", "payments/x402", "payments/crashpoint", "payments/wallet", "payments/wallet/crossmint", "store", "store/archive"},
	"server/mail":                  {},
	"server/guest":                 {"payments/x402", "payments/wallet", "store"},
	"server/guest/approve":         {"store"},
	"server/web":                   {},
	"server/metrics":               {"payments"},
	"payments/tracing":             {},
	"server/admin":                 {},
	"server":                       {"server/web", "server/limit", "server/forwarded", "server/host", "server/guest/chat", "tools", "tools/calendar", "store", "payments", "payments/x402", "server/admin", "server/metrics", "payments/tracing"},
	"cmd/concierge": {"server", "server/forwarded", "server/certificates", "server/host", "server/guest", "server/guest/approve", "server/guest/outgoing", "server/mail", "tools", "store", "store/archive", "store/secrets", "server/admin", "server/metrics", "cmd/internal/handover", "cmd/internal/tune",
		"payments", "payments/x402", "payments/evm", "payments/wallet", "payments/devnet", "payments/facilitator",
		"payments/wallet/crossmint", "server/guest/chat"},
	"server/guest/outgoing": {},
	"cmd/torture":           {"cmd/internal/process", "payments/x402", "payments/evm", "payments/wallet", "payments/crashpoint"},
	"cmd/loadtest": {"cmd/internal/process", "cmd/internal/tune", "server", "server/host", "tools", "store", "payments", "payments/instant", "payments/x402",
		"payments/wallet"},
	"cmd/internal/process":          {},
	"cmd/internal/handover":         {},
	"cmd/internal/tune":             {"store"},
	"cmd/mcpb":                      {},
	"cmd/logcheck":                  {"server/testlog"},
	"server/testlog":                {},
	"cmd/operator":                  {},
	"payments/wallet/crossmint":     {"payments/x402", "payments/evm", "payments/wallet"},
	"payments/wallet/crossminttest": {"payments/x402", "payments/evm"},
	"interop/crossmint":             {"payments/wallet/crossminttest"},
	"server/guest/chat":             {"payments/x402", "payments/wallet", "store", "server/guest", "tools/calendar"},
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	listed := map[string]bool{}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p struct {
			ImportPath       string
			Imports, GoFiles []string
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) == 0 { // tests only
			continue
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		allowed, ok := mayImport[name]
		if !ok {
			t.Errorf("package %s is not in the table of imports: add it with what it may import", name)
			continue
		}
		listed[name] = true
		for _, i := range p.Imports {
			if ours, is := strings.CutPrefix(i, module); is && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s; it may import %v", name, ours, allowed)
			}
		}
	}
	for name := range mayImport {
		if !listed[name] {
			t.Errorf("package %s is in the table of imports and nowhere else", name)
		}
	}
}
