package host_test

import (
	"testing"

	"github.com/events-concierge/concierge/server/host"
)

// What it costs to know whose Host a call is for, and who calls.
func BenchmarkWho(b *testing.B) {
	h := mustOpen(b, b.TempDir(), "")
	user, token, err := h.Register(b.Context(), host.Registration{Email: "ada@example.org"})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("host", func(b *testing.B) {
		for b.Loop() {
			if _, err := h.Host(b.Context(), user.ID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("token", func(b *testing.B) {
		for b.Loop() {
			if scope, err := h.Scope(b.Context(), user.ID, token); err != nil || scope == "" {
				b.Fatal(scope, err)
			}
		}
	})
}
