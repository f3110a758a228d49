package store_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/store"
)

// Whatever a power cut takes away, it takes nothing that was answered. That this
// is because commits are synced shows a disk that does not.
func TestPowerCut(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	if problems := cutPower(t, newDisk(t, "disk"), 8, seed); len(problems) > 0 {
		t.Errorf("after a power cut: %q", problems)
	}
	liar := newDisk(t, "liar")
	liar.lies = true
	if problems := cutPower(t, liar, 3, seed); len(problems) == 0 {
		t.Error("nothing was lost by a disk that does not sync")
	}
}

// cutPower books, looks at what a power cut would leave, many times, and returns
// what is wrong with it.
func cutPower(t *testing.T, d *disk, cuts int, seed uint64) (problems []string) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	files, _ := MustFiles(t, store.Options{})
	files.Limit(60, 100_000)
	files.VFS(d.name)
	h := hosts(t, files, 1)[0]
	h.event(t, "tea", nil)

	var told []string
	answers := make(chan string)
	stop := make(chan struct{})
	var booking sync.WaitGroup
	for g := range guests {
		booking.Go(func() { bookUntil(t, h, g, answers, stop) })
	}
	go func() {
		booking.Wait()
		close(answers)
	}()
	for range cuts {
		for range 10 + random.IntN(30) {
			told = append(told, <-answers)
		}
		image := &host{path: filepath.Join(t.TempDir(), filepath.Base(h.path)), clock: &clock{}}
		d.image(t, filepath.Dir(image.path), random)
		problems = append(problems, lost(t, image, told)...)
	}
	close(stop)
	for range answers {
	}
	return problems
}

func bookUntil(t *testing.T, h *host, g int, answers chan<- string, stop <-chan struct{}) {
	for n := 0; ; n++ {
		r, err := h.BookFree(t.Context(), booking("tea", g*1_000_000+n, 1))
		if err != nil {
			t.Error(err)
			return
		}
		select {
		case answers <- r.ID:
		case <-stop:
			return
		}
	}
}

// lost returns what was answered and is not there, or why nothing can be read.
func lost(t *testing.T, h *host, told []string) (problems []string) {
	t.Helper()
	opened, err := store.OpenHost(t.Context(), h.path, store.Options{Now: h.clock.Now})
	if err != nil {
		return []string{err.Error()}
	}
	for _, id := range told {
		if r, err := opened.RSVP(t.Context(), id); err != nil || r.Status != store.RSVPConfirmed {
			problems = append(problems, fmt.Sprintf("%s: %s, %v", id, r.Status, err))
		}
	}
	if err := opened.Close(); err != nil {
		problems = append(problems, err.Error())
	}
	if len(problems) > 0 {
		return problems
	}
	db := rawDB(t, h.path)
	defer db.Close()
	return append(problems, texts(t, db, `SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'`)...)
}
