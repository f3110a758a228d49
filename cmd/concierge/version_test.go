package main

import (
	"encoding/json"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	var b build
	if err := json.Unmarshal([]byte(output(t, "", "version", "--json")), &b); err != nil {
		t.Fatal(err)
	}
	if b.Version == "" || b.Go == "" || !strings.Contains(b.System, "/") {
		t.Errorf("%+v", b)
	}
	if s := b.Schemas; s.Server.Oldest != 1 || s.Server.Newest < 6 || s.Hosts.Newest < 7 || s.Index.Newest < 1 {
		t.Errorf("schemas: %+v", s)
	}
	if got := output(t, "", "version"); !strings.Contains(got, "schemas  server 1–") {
		t.Errorf("version: %s", got)
	}
	if got := output(t, "", "--version"); !strings.Contains(got, b.Version) {
		t.Errorf("--version: %s", got)
	}
}

// What the linker was told stays; the rest is taken from what Go notes.
func TestFillBuild(t *testing.T) {
	noted := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-06-01T12:00:00Z"}, {Key: "vcs.modified", Value: "true"}}}
	for name, c := range map[string]struct {
		told, want build
		info       *debug.BuildInfo
	}{
		"told":      {build{Version: "v9", Commit: "def", Date: "now"}, build{Version: "v9", Commit: "def", Date: "now"}, noted},
		"not told":  {build{Version: unversioned}, build{Version: "v1.2.3", Commit: "abc-dirty", Date: "2026-06-01T12:00:00Z"}, noted},
		"by hand":   {build{Version: unversioned}, build{Version: unversioned}, &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}},
		"in a test": {build{Version: unversioned}, build{Version: unversioned}, &debug.BuildInfo{}},
	} {
		if c.told.fill(c.info); c.told != c.want {
			t.Errorf("%s: %+v, want %+v", name, c.told, c.want)
		}
	}
}
