package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"debug/macho"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
)

const source = "../../deploy/mcpb"

func TestSemver(t *testing.T) {
	for described, want := range map[string]string{
		"v1.2.3":                  "1.2.3",
		"v1.2.3-rc.1":             "1.2.3-rc.1",
		"v1.2.3-4-gabc1234":       "1.2.3-4-gabc1234",
		"v1.2.3-4-gabc1234-dirty": "1.2.3-4-gabc1234-dirty",
		"0123456":                 "0.0.0-g0123456", // a number may not begin with 0
		"abc1234-dirty":           "0.0.0-gabc1234-dirty",
		"dev":                     "0.0.0-gdev",
		"1.2.3":                   "",
		"v1.2":                    "",
		"v1.2.3 ":                 "",
		`v1.2.3"`:                 "",
		"latest":                  "",
		"":                        "",
	} {
		got, err := semver(described)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("semver(%q) = %q, %v; want %q", described, got, err, want)
		}
	}
}

// executable is a Mach-O file with no commands, and some bytes.
func executable(cpu macho.Cpu, sub uint32, body string) []byte {
	var b bytes.Buffer
	h := macho.FileHeader{Magic: macho.Magic64, Cpu: cpu, SubCpu: sub, Type: macho.TypeExec}
	_ = binary.Write(&b, binary.LittleEndian, h)
	b.Write(make([]byte, 4)) // reserved
	b.WriteString(body)
	return b.Bytes()
}

func TestUniversal(t *testing.T) {
	parts := [][]byte{executable(macho.CpuAmd64, 3, "for Intel"), executable(macho.CpuArm64, 0, strings.Repeat("for Apple", 9999))}
	b, err := universal(parts)
	if err != nil {
		t.Fatal(err)
	}
	fat, err := macho.NewFatFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if len(fat.Arches) != 2 {
		t.Fatalf("it has %d parts", len(fat.Arches))
	}
	for i, arch := range fat.Arches {
		if got := b[arch.Offset : arch.Offset+arch.Size]; !bytes.Equal(got, parts[i]) {
			t.Errorf("part %d is not what was put in", i)
		}
		if arch.Offset%(1<<pageBits) != 0 || arch.Align != pageBits {
			t.Errorf("part %d is at %d, aligned to 2^%d", i, arch.Offset, arch.Align)
		}
	}
	if fat.Arches[0].Cpu != macho.CpuAmd64 || fat.Arches[1].Cpu != macho.CpuArm64 {
		t.Errorf("it is for %v and %v", fat.Arches[0].Cpu, fat.Arches[1].Cpu)
	}
	if _, err := universal([][]byte{[]byte("MZ, which is Windows'")}); err == nil {
		t.Error("something else than an executable of macOS was taken")
	}
}

// sample stands for the binaries, which take minutes to build; that the real ones
// run is tried by `make interop`.
var sample = map[string][]byte{
	"server/concierge":       []byte("universal"),
	"server/concierge.exe":   []byte("windows"),
	"server/concierge-linux": []byte("linux"),
}

func TestPack(t *testing.T) {
	t.Chdir("../..")
	const in = "deploy/mcpb"
	for _, name := range bundles {
		t.Run(name, func(t *testing.T) {
			b, err := pack(in, name, "1.2.3", sample)
			if err != nil {
				t.Fatal(err)
			}
			again, err := pack(in, name, "1.2.3", sample)
			if err != nil || !bytes.Equal(b.content, again.content) {
				t.Errorf("packed again it is not the same: %v", err)
			}
			if sum := sha256.Sum256(b.content); hex.EncodeToString(sum[:]) != b.sum {
				t.Errorf("the hash %s is another's", b.sum)
			}
			z, err := zip.NewReader(bytes.NewReader(b.content), int64(len(b.content)))
			if err != nil {
				t.Fatal(err)
			}
			modes := map[string]string{}
			for _, f := range z.File {
				modes[f.Name] = f.Mode().String()
			}
			want := map[string]string{
				"LICENSE": "-rw-r--r--", "NOTICE": "-rw-r--r--", "icon.png": "-rw-r--r--", "manifest.json": "-rw-r--r--",
				"server/concierge": "-rwxr-xr-x", "server/concierge.exe": "-rwxr-xr-x", "server/concierge-linux": "-rwxr-xr-x",
			}
			if d := cmp.Diff(want, modes); d != "" {
				t.Errorf("files (-want +got):\n%s", d)
			}
			checkManifest(t, z, name)
		})
	}
}

// checkManifest holds the manifest against what is in the bundle.
func checkManifest(t *testing.T, z *zip.Reader, name string) {
	f, err := z.Open("manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	type command struct{ Command string }
	var m struct {
		Name, Version, Icon string
		Server              struct {
			EntryPoint string `json:"entry_point"`
			MCPConfig  struct {
				command
				Overrides map[string]command `json:"platform_overrides"`
			} `json:"mcp_config"`
		}
		Compatibility struct{ Platforms []string }
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.Name != "concierge-"+name || m.Version != "1.2.3" {
		t.Errorf("it is %s %s", m.Name, m.Version)
	}
	runs := []string{"${__dirname}/" + m.Server.EntryPoint, "${__dirname}/" + m.Icon}
	for _, platform := range m.Compatibility.Platforms {
		c := m.Server.MCPConfig.command
		if other, ok := m.Server.MCPConfig.Overrides[platform]; ok {
			c = other
		}
		runs = append(runs, c.Command)
	}
	if len(runs) != 2+3 {
		t.Errorf("it is for %v", m.Compatibility.Platforms)
	}
	for _, path := range runs {
		inside, ok := strings.CutPrefix(path, "${__dirname}/")
		if _, err := z.Open(inside); !ok || err != nil {
			t.Errorf("%s is not in the bundle: %v", path, err)
		}
	}
}

func TestRegistryEntry(t *testing.T) {
	text, err := os.ReadFile("testdata/server-2025-12-11.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := strings.Repeat("0a", 32)
	names := map[string]bool{}
	for _, name := range bundles {
		entry, err := registryEntry(source, name, "1.2.3", "v1.2.3", sum)
		if err != nil {
			t.Fatal(err)
		}
		var value map[string]any
		if err := json.Unmarshal(entry, &value); err != nil {
			t.Fatal(err)
		}
		if err := resolved.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if value["$schema"] != schema.ID {
			t.Errorf("%s: its schema is %v, and this one is %s", name, value["$schema"], schema.ID)
		}
		names[value["name"].(string)] = true
		p := value["packages"].([]any)[0].(map[string]any)
		want := "https://github.com/events-concierge/concierge/releases/download/v1.2.3/concierge-" + name + ".mcpb"
		if p["identifier"] != want || p["fileSha256"] != sum || p["version"] != "1.2.3" {
			t.Errorf("%s: its package is %v", name, p)
		}
		// That the schema finds anything at all.
		value["description"] = strings.Repeat("long ", 21)
		if err := resolved.Validate(value); err == nil {
			t.Errorf("%s: a description of 105 letters is taken", name)
		}
	}
	if len(names) != len(bundles) {
		t.Errorf("two of them have the same name: %v", names)
	}
}

func TestFilledWantsItsWords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.json")
	for text, want := range map[string]string{
		`{"version": "1"}`:       "no @VERSION@",
		`{"version": @VERSION@}`: "not JSON",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := filled(path, map[string]string{"@VERSION@": "1.2.3"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("filled(%s): %v; want %q", text, err, want)
		}
	}
}

func TestWrongUsage(t *testing.T) {
	var out, errOut bytes.Buffer
	for want, args := range map[int][]string{2: {"bin"}, 1: {"-version", "latest"}} {
		if code := run(t.Context(), args, &out, &errOut); code != want {
			t.Errorf("run(%q) = %d, want %d: %s", args, code, want, &errOut)
		}
	}
}
