package archive

import (
	"os"
	"time"
)

// stamp tells whether a file was written to. It is looked at, never opened.
type stamp struct {
	Size     int64 `json:"size"`
	Modified int64 `json:"modified"` // ns since 1970; 0: it proves nothing
}

// tick is more than the clock of file systems takes for a step.
const tick = 12 * time.Millisecond

// stampOf returns a file's stamp once it is a tick old: one that is younger could
// be that of a later write as well.
func stampOf(path string) (stamp, error) {
	for {
		info, err := os.Stat(path)
		if err != nil {
			return stamp{}, err
		}
		age := time.Since(info.ModTime())
		switch s := (stamp{info.Size(), info.ModTime().UnixNano()}); {
		case age >= tick:
			return s, nil
		case age < 0: // the clock was set back, and may come by again
			return stamp{Size: s.Size}, nil
		default:
			time.Sleep(tick - age)
		}
	}
}

// same reports whether nothing was written between two stamps.
func (s stamp) same(as stamp) bool { return s.Modified != 0 && s == as }
