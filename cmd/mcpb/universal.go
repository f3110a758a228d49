package main

import (
	"bytes"
	"debug/macho"
	"encoding/binary"
	"errors"
	"fmt"
)

// pageBits is the logarithm of how parts of a universal binary are aligned: pages of
// arm64 have 16 KiB.
const pageBits = 14

// universal puts executables of macOS for several processors into one file, as lipo
// does; see <mach-o/fat.h>. Each keeps its own signature.
func universal(parts [][]byte) ([]byte, error) {
	type arch struct{ CPU, Sub, Offset, Size, Align uint32 }
	var head []arch
	end := 8 + 20*len(parts) // the magic number, how many there are, and that many arch
	for _, part := range parts {
		f, err := macho.NewFile(bytes.NewReader(part))
		if err != nil {
			return nil, fmt.Errorf("not an executable of macOS: %w", err)
		}
		offset := (end + 1<<pageBits - 1) >> pageBits << pageBits
		head = append(head, arch{uint32(f.Cpu), f.SubCpu, uint32(offset), uint32(len(part)), pageBits})
		end = offset + len(part)
	}
	if uint64(end) > 1<<32-1 {
		return nil, errors.New("too large for a universal binary")
	}
	var b bytes.Buffer
	b.Grow(end)
	// A buffer takes all of it.
	_ = binary.Write(&b, binary.BigEndian, macho.MagicFat)
	_ = binary.Write(&b, binary.BigEndian, uint32(len(parts)))
	_ = binary.Write(&b, binary.BigEndian, head)
	for i, part := range parts {
		b.Write(make([]byte, int(head[i].Offset)-b.Len()))
		b.Write(part)
	}
	return b.Bytes(), nil
}
