package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/events-concierge/concierge/store"
)

// A program is a deployment from when it takes over from another, and each of its
// starts is recorded, also how it ended.
func TestDeployments(t *testing.T) {
	clock := &clock{}
	s, err := store.OpenServer(t.Context(), filepath.Join(t.TempDir(), "server.db"), store.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	schemas, err := store.CurrentSchemas()
	if err != nil {
		t.Fatal(err)
	}
	one := store.Program{Version: "v1", Commit: "abc", Built: "2026-06-01T12:00:00Z", SHA256: [32]byte{1}, Path: "/usr/bin/concierge", Schemas: schemas}
	two := one
	two.Version, two.SHA256 = "v2", [32]byte{2}

	started := func(p store.Program, schema int, alone time.Time) int64 {
		clock.Advance(time.Second)
		id, err := s.Started(t.Context(), p, "serve", schema, alone)
		must(t)(nil, err)
		return id
	}
	first := started(one, 0, time.Time{})
	must(t)(nil, s.Stopped(t.Context(), first))
	killed := started(one, 7, time.Time{})
	clock.Advance(time.Second)
	last := started(two, 7, clock.Now())

	all, err := s.Deployments(t.Context(), 10)
	must(t)(nil, err)
	if len(all) != 2 || all[0].Version != "v2" || all[1].Starts != 2 || all[1].Last.ID != killed || all[1].Last.Ended != store.EndedKilled || all[0].Last.Ended != "" {
		t.Fatalf("%+v", all)
	}
	if diff := cmp.Diff(one, all[1].Program); diff != "" {
		t.Error(diff)
	}
	starts, err := s.Starts(t.Context(), 10)
	must(t)(nil, err)
	if len(starts) != 3 || starts[0].ID != last || starts[2].Ended != store.EndedStopped || starts[2].Schema != 0 || starts[1].Schema != 7 {
		t.Errorf("%+v", starts)
	}
	started(one, 7, time.Time{}) // back again: another deployment
	if all, err := s.Deployments(t.Context(), 2); err != nil || len(all) != 2 || all[0].ID == all[1].ID || all[0].Version != "v1" {
		t.Errorf("%+v", all)
	}
}
