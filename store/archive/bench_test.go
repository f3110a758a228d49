package archive_test

import (
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store/archive"
)

// BenchmarkArchive writes to some of many files and archives them: what that takes
// for each, and how much the heap grows with the number of files.
func BenchmarkArchive(b *testing.B) {
	for _, files := range []int{20, 200} {
		b.Run(fmt.Sprint(files, " files"), func(b *testing.B) {
			dir := b.TempDir()
			to, err := archive.NewDir(filepath.Join(b.TempDir(), "archive"))
			if err != nil {
				b.Fatal(err)
			}
			a, err := archive.New(b.Context(), archive.Config{Dir: dir, Name: "bench", To: to, Log: testlog.New(slog.NewTextHandler(io.Discard, nil))})
			if err != nil {
				b.Fatal(err)
			}
			defer a.Close()
			if err := os.MkdirAll(filepath.Join(dir, "hosts", "aa"), 0o700); err != nil {
				b.Fatal(err)
			}
			write := func(i int, query string) {
				path := filepath.Join(dir, "hosts", "aa", fmt.Sprint(i, ".db"))
				db, err := sql.Open("sqlite", "file://"+path+"?_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=wal_autocheckpoint(0)")
				if err != nil {
					b.Fatal(err)
				}
				defer db.Close()
				if _, err := db.Exec(query); err != nil {
					b.Fatal(err)
				}
				a.Written(path)
			}
			before := heap()
			for i := range files {
				write(i, `CREATE TABLE t (v BLOB); INSERT INTO t VALUES (randomblob(20000))`)
			}
			if err := a.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
			grown := heap() - before
			for n := 0; b.Loop(); n++ {
				write(n%files, `INSERT INTO t VALUES (1)`)
				if err := a.Flush(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(grown)/float64(files), "heap-B/file")
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
