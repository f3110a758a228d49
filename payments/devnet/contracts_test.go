package devnet_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/events-concierge/concierge/payments/devnet"
	"github.com/events-concierge/concierge/payments/x402"
)

// The committed code and ABIs are what the compiler makes of the sources.
func TestContractsRecompile(t *testing.T) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("NOT COMPARED: there is no npm to get the Solidity compiler with")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("NOT COMPARED: there is no Node to compile the contracts with")
	}
	dir := t.TempDir()
	for _, pattern := range []string{"*.sol", "*.mjs", "package*.json", ".npmrc"} {
		files, err := filepath.Glob(filepath.Join("contracts", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	install := exec.CommandContext(t.Context(), npm, "ci", "--prefer-offline", "--fetch-retries=0", "--fetch-timeout=20000")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("NOT COMPARED: npm could not install the Solidity compiler (no network?): %v\n%s", err, out)
	}
	compile := exec.CommandContext(t.Context(), node, "compile.mjs")
	compile.Dir = dir
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	want, err := os.ReadDir("contracts/build")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadDir(filepath.Join(dir, "build"))
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d files compiled, %d committed, %v", len(got), len(want), err)
	}
	for _, f := range want {
		committed, err := os.ReadFile(filepath.Join("contracts/build", f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := os.ReadFile(filepath.Join(dir, "build", f.Name()))
		if err != nil || !bytes.Equal(committed, compiled) {
			t.Errorf("%s is not what the sources give (%v): run go generate ./payments/devnet", f.Name(), err)
		}
	}
}

// The Go binding in payments/evm belongs to the token here. Its source is read,
// not imported: evm's own tests may use this package.
func TestBindingIsOfThisToken(t *testing.T) {
	file, err := os.ReadFile("contracts/build/FiatToken.abi.json")
	if err != nil {
		t.Fatal(err)
	}
	binding, err := os.ReadFile("../evm/fiat_token.go")
	if err != nil {
		t.Fatal(err)
	}
	var abi bytes.Buffer
	if err := json.Compact(&abi, file); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(binding, []byte(strconv.Quote(abi.String()))) {
		t.Error("payments/evm/fiat_token.go has another ABI: run go generate ./payments/devnet")
	}
}

func TestUSDCAddress(t *testing.T) {
	asset, domain, ok := x402.USDC(x402.EVM(devnet.ChainID))
	if !ok || common.Address(asset) != devnet.USDC() || domain != (x402.Domain{Name: "USDC", Version: "2"}) {
		t.Errorf("%v %v %v", asset, domain, ok)
	}
}
