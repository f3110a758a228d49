package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/klauspost/compress/zstd"
)

// An object is a zstd stream of a line of JSON (header), its pages, each behind
// its number (4 bytes, big endian), in rising order, and the SHA-256 of all that.
const format = 1

// header says what an object is, and what it follows.
type header struct {
	Format     int       `json:"format"`
	File       string    `json:"file"`
	Generation string    `json:"generation"`
	Sequence   int       `json:"sequence"` // 0: a base
	Time       time.Time `json:"time"`     // what was committed until then is in it
	Follows    link      `json:"follows,omitzero"`
	PageSize   int       `json:"page_size"`
	Pages      int       `json:"pages"`        // in this object
	Size       uint32    `json:"size"`         // of the database, in pages
	Log        span      `json:"log,omitzero"` // where the pages of a segment are from
}

// link names an object. A base follows the last object of the generation before,
// if that is known.
type link struct {
	Generation string `json:"generation"`
	Sequence   int    `json:"sequence"`
	Digest     string `json:"digest"` // SHA-256, in hex
}

// span is a part of a write-ahead log: its frames after From, up to To.
type span struct {
	Salt [2]uint32 `json:"salt"`
	From uint32    `json:"from"`
	To   uint32    `json:"to"`
}

// page is a page of a database.
type page struct {
	number uint32 // from 1
	data   []byte // valid until the next one
}

// Bounds on what is believed of a header.
const (
	maxHeader  = 4 << 10
	minPage    = 512
	maxPage    = 64 << 10
	maxWindow  = 8 << 20
	digestSize = sha256.Size
)

func newEncoder() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(512<<10), zstd.WithEncoderLevel(zstd.SpeedFastest))
}

// encode writes an object with z and returns its digest.
func encode(z *zstd.Encoder, w io.Writer, h header, pages iter.Seq2[page, error]) (digest string, err error) {
	line, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	z.Reset(w)
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(z, sum), maxPage)
	out.Write(append(line, '\n')) // #nosec G104 -- its error is that of Flush
	n := 0
	for p, err := range pages {
		if err != nil {
			return "", err
		}
		var number [4]byte
		binary.BigEndian.PutUint32(number[:], p.number)
		out.Write(number[:]) // #nosec G104 -- as above
		out.Write(p.data)    // #nosec G104 -- as above
		n++
	}
	if n != h.Pages {
		return "", fmt.Errorf("%d pages where %d were announced", n, h.Pages)
	}
	if err := out.Flush(); err != nil {
		return "", err
	}
	all := sum.Sum(nil)
	_, err = z.Write(all)
	return hex.EncodeToString(all), errors.Join(err, z.Close())
}

// decoder reads an object.
type decoder struct {
	header
	z    *zstd.Decoder
	sum  io.Writer
	in   *bufio.Reader
	hash func() []byte
}

// decode reads an object's header; close the decoder in the end. Errors: [ErrTorn].
func decode(r io.Reader) (_ *decoder, err error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	d := &decoder{z: z, sum: sum, in: bufio.NewReaderSize(z, maxHeader), hash: func() []byte { return sum.Sum(nil) }}
	defer func() {
		if err != nil {
			z.Close()
		}
	}()
	line, err := d.in.ReadSlice('\n')
	if err != nil {
		return nil, torn(err)
	}
	sum.Write(line)
	strict := json.NewDecoder(bytes.NewReader(line))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&d.header); err != nil {
		return nil, torn(err)
	}
	h := d.header
	if h.Format != format {
		return nil, fmt.Errorf("the object has format %d, this program knows %d: use a newer version of it", h.Format, format)
	}
	if h.PageSize < minPage || h.PageSize > maxPage || h.PageSize&(h.PageSize-1) != 0 || h.Size == 0 || h.Pages < 0 ||
		uint64(h.Pages) > uint64(h.Size) || h.Sequence == 0 && uint64(h.Pages) != uint64(h.Size) {
		return nil, torn(errors.New("its header makes no sense"))
	}
	return d, nil
}

func (d *decoder) close() { d.z.Close() }

// pages calls f for each page and returns the object's digest. Only if there is
// no error are the pages those that were written. Errors: [ErrTorn], and f's.
func (d *decoder) pages(f func(page) error) (digest string, err error) {
	buf := make([]byte, 4+d.PageSize)
	for last, n := uint32(0), 0; n < d.Pages; n++ {
		if _, err := io.ReadFull(d.in, buf); err != nil {
			return "", torn(err)
		}
		d.sum.Write(buf) // #nosec G104 -- a hash never fails
		p := page{binary.BigEndian.Uint32(buf), buf[4:]}
		if p.number <= last || p.number > d.Size {
			return "", torn(fmt.Errorf("page %d after page %d", p.number, last))
		}
		last = p.number
		if err := f(p); err != nil {
			return "", err
		}
	}
	var stored [digestSize]byte
	if _, err := io.ReadFull(d.in, stored[:]); err != nil {
		return "", torn(err)
	}
	if !bytes.Equal(stored[:], d.hash()) {
		return "", torn(errors.New("its content is not what was written"))
	}
	if _, err := d.in.ReadByte(); err != io.EOF {
		return "", torn(errors.New("there is more than was written"))
	}
	return hex.EncodeToString(stored[:]), nil
}

func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrTorn)
	}
	return fmt.Errorf("%w: %w", ErrTorn, err)
}
