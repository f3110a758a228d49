package archive

import (
	"bytes"
	"testing"
	"time"
)

// What is accepted as an object is what was written: written again, it is accepted
// again, and has the same digest.
func FuzzObject(f *testing.F) {
	z, err := newEncoder()
	if err != nil {
		f.Fatal(err)
	}
	object := func(h header, numbers ...uint32) []byte {
		h.Format, h.File, h.Generation, h.PageSize, h.Pages = format, "server.db", "g", minPage, len(numbers)
		var out bytes.Buffer
		if _, err := encode(z, &out, h, func(yield func(page, error) bool) {
			for _, n := range numbers {
				if !yield(page{n, make([]byte, minPage)}, nil) {
					return
				}
			}
		}); err != nil {
			f.Fatal(err)
		}
		return out.Bytes()
	}
	base := object(header{Time: time.Unix(1_700_000_000, 0).UTC(), Size: 2}, 1, 2)
	f.Add(base)
	f.Add(base[:len(base)/2])
	f.Add(object(header{Sequence: 1, Size: 9, Follows: link{"g", 0, "00"}, Log: span{[2]uint32{1, 2}, 0, 3}}, 4, 9))
	f.Add(object(header{Sequence: 1, Size: 9}, 4, 4))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	read := func(raw []byte) (h header, digest string, all []page, err error) {
		d, err := decode(bytes.NewReader(raw))
		if err != nil {
			return h, "", nil, err
		}
		defer d.close()
		digest, err = d.pages(func(p page) error {
			all = append(all, page{p.number, bytes.Clone(p.data)})
			return nil
		})
		return d.header, digest, all, err
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, _, pages, err := read(raw)
		if err != nil {
			return
		}
		var again bytes.Buffer
		digest, err := encode(z, &again, h, func(yield func(page, error) bool) {
			for _, p := range pages {
				if !yield(p, nil) {
					return
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		h2, digest2, pages2, err := read(again.Bytes())
		if err != nil || digest2 != digest || len(pages2) != len(pages) || !h2.Time.Equal(h.Time) || h2.Log != h.Log || h2.Follows != h.Follows {
			t.Errorf("%+v becomes %+v: %v", h, h2, err)
		}
	})
}
