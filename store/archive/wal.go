package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"slices"
)

// The write-ahead log, as section 4 of SQLite's file format has it.
const (
	logHeaderSize   = 32
	frameHeaderSize = 24
	logMagic        = 0x377f0682 // or one more: then checksums are of big-endian words
	logVersion      = 3007000
)

// errReset means that a log has begun anew while it was read.
var errReset = errors.New("the write-ahead log was reset while it was read")

// place is one in a log: behind a commit, or at the beginning.
type place struct {
	Salt  [2]uint32 // of the log; zero: there is none
	Frame uint32    // how many frames are before it
	Sum   [2]uint32 // the checksum up to there
}

// wal is a log that is open for reading. That its file is opened and closed is no
// harm: SQLite has no locks on it.
type wal struct {
	f        *os.File
	pageSize int
	order    binary.ByteOrder
	start    place
}

// openLog opens the log of a database; nil if there is none, or nothing in it.
func openLog(database string) (*wal, error) {
	f, err := os.Open(database + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	l := &wal{f: f}
	ok, err := l.readHeader()
	if err != nil || !ok {
		return nil, errors.Join(err, f.Close())
	}
	return l, nil
}

// readHeader reports whether there is a whole one.
func (l *wal) readHeader() (bool, error) {
	var h [logHeaderSize]byte
	if _, err := l.f.ReadAt(h[:], 0); err != nil {
		if err == io.EOF {
			err = nil
		}
		return false, err
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(h[4*i:]) }
	if word(0)|1 != logMagic|1 || word(1) != logVersion {
		return false, nil // SQLite takes it for an empty one as well
	}
	l.order = binary.LittleEndian
	if word(0)&1 == 1 {
		l.order = binary.BigEndian
	}
	l.pageSize = int(word(2))
	l.start = place{Salt: [2]uint32{word(4), word(5)}, Sum: [2]uint32{word(6), word(7)}}
	if l.pageSize < minPage || l.pageSize > maxPage || l.pageSize&(l.pageSize-1) != 0 {
		return false, nil
	}
	return l.checksum([2]uint32{}, h[:24]) == l.start.Sum, nil
}

func (l *wal) close() error {
	if l == nil {
		return nil
	}
	return l.f.Close()
}

func (l *wal) offset(frame uint32) int64 {
	return logHeaderSize + int64(frame)*int64(frameHeaderSize+l.pageSize)
}

// has reports whether the log is the one that p is in, and has come that far.
func (l *wal) has(p place) bool {
	if l == nil || p.Salt != l.start.Salt {
		return false
	}
	if p.Frame == 0 {
		return p.Sum == l.start.Sum
	}
	var h [frameHeaderSize]byte
	if _, err := l.f.ReadAt(h[:], l.offset(p.Frame-1)); err != nil {
		return false
	}
	return l.salt(h[:]) == p.Salt && l.stored(h[:]) == p.Sum
}

func (l *wal) salt(frame []byte) [2]uint32 {
	return [2]uint32{binary.BigEndian.Uint32(frame[8:]), binary.BigEndian.Uint32(frame[12:])}
}

func (l *wal) stored(frame []byte) [2]uint32 {
	return [2]uint32{binary.BigEndian.Uint32(frame[16:]), binary.BigEndian.Uint32(frame[20:])}
}

// changes are the pages that a part of a log has changed.
type changes struct {
	to     place
	size   uint32           // of the database then, in pages; 0: there is no commit
	frames map[uint32]int64 // by page: where its last content is
}

// since reads the frames behind p up to the last commit, and checks each.
func (l *wal) since(p place) (changes, error) {
	c := changes{to: p, frames: map[uint32]int64{}}
	open := map[uint32]int64{} // of a transaction that has no commit yet
	frame := make([]byte, frameHeaderSize+l.pageSize)
	for at := p; ; {
		_, err := l.f.ReadAt(frame, l.offset(at.Frame))
		if err == io.EOF {
			return c, nil
		}
		if err != nil {
			return c, fmt.Errorf("read the write-ahead log: %w", err)
		}
		sum := l.checksum(l.checksum(at.Sum, frame[:8]), frame[frameHeaderSize:])
		number, commit := binary.BigEndian.Uint32(frame), binary.BigEndian.Uint32(frame[4:])
		if l.salt(frame) != p.Salt || l.stored(frame) != sum || number == 0 {
			return c, nil // what was never finished, or is left of an older log
		}
		open[number] = l.offset(at.Frame) + frameHeaderSize
		at.Frame, at.Sum = at.Frame+1, sum
		if commit > 0 {
			maps.Copy(c.frames, open)
			clear(open)
			c.to, c.size = at, commit
		}
	}
}

// inside leaves out pages behind the end of the database, which was made smaller.
func (c *changes) inside() {
	maps.DeleteFunc(c.frames, func(number uint32, _ int64) bool { return number > c.size })
}

// read returns the pages of c. If the log has begun anew by the end it is
// [errReset]: its header is the first to be written over.
func (l *wal) read(c changes) iter.Seq2[page, error] {
	return func(yield func(page, error) bool) {
		data := make([]byte, l.pageSize)
		for _, number := range slices.Sorted(maps.Keys(c.frames)) {
			if _, err := l.f.ReadAt(data, c.frames[number]); err != nil {
				yield(page{}, fmt.Errorf("read the write-ahead log: %w", err))
				return
			}
			if !yield(page{number, data}, nil) {
				return
			}
		}
		again := wal{f: l.f}
		if ok, err := again.readHeader(); err != nil || !ok || again.start != l.start {
			yield(page{}, errors.Join(errReset, err))
		}
	}
}

// checksum goes on with a checksum over b, whose length is a multiple of eight.
func (l *wal) checksum(s [2]uint32, b []byte) [2]uint32 {
	for ; len(b) >= 8; b = b[8:] {
		s[0] += l.order.Uint32(b) + s[1]
		s[1] += l.order.Uint32(b[4:]) + s[0]
	}
	return s
}
