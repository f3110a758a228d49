package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// generation is what the archive has of one.
type generation struct {
	name    string
	from    time.Time
	objects int // how many follow each other
}

// generations lists those of a file, oldest first.
func generations(ctx context.Context, b Backend, file string) (all []generation, err error) {
	names, err := b.List(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("list the archive of %s: %w", file, err)
	}
	for _, name := range names {
		name, isDir := strings.CutSuffix(name, "/")
		if from, ok := begun(name); ok && isDir {
			all = append(all, generation{name: name, from: from})
		}
	}
	slices.SortStableFunc(all, func(a, b generation) int { return a.from.Compare(b.from) })
	return all, nil
}

// count finds out how many objects a generation has; it has none where a process
// died before it wrote the first. Errors: [ErrTorn] if one is missing before others.
func (g *generation) count(ctx context.Context, b Backend, file string) error {
	names, err := b.List(ctx, file+"/"+g.name)
	if err != nil {
		return fmt.Errorf("list the archive of %s: %w", file, err)
	}
	for i, name := range names {
		want := objectName(file, g.name, i)
		if file+"/"+g.name+"/"+name != want {
			return fmt.Errorf("%w: %s is missing", ErrTorn, want)
		}
	}
	g.objects = len(names)
	return nil
}

// newest returns which of all is the newest that began by a time and has something;
// -1: none.
func newest(ctx context.Context, b Backend, file string, all []generation, by time.Time) (int, error) {
	for i := len(all) - 1; i >= 0; i-- {
		if !by.IsZero() && all[i].from.After(by) {
			continue
		}
		if err := all[i].count(ctx, b, file); err != nil || all[i].objects > 0 {
			return i, err
		}
	}
	return -1, nil
}

// head reads the header of an object, which must be the one its name says.
func head(ctx context.Context, b Backend, file, generation string, sequence int) (header, error) {
	var h header
	err := open(ctx, b, file, generation, sequence, func(d *decoder) error {
		h = d.header
		return nil
	})
	return h, err
}

// open reads an object that must be the one its name says. Errors name it.
func open(ctx context.Context, b Backend, file, generation string, sequence int, read func(*decoder) error) error {
	name := objectName(file, generation, sequence)
	r, err := b.Get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return fmt.Errorf("%w: %s is missing", ErrTorn, name)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer r.Close()
	d, err := decode(r)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer d.close()
	if d.File != file || d.Generation != generation || d.Sequence != sequence {
		return fmt.Errorf("read %s: %w: it is %s", name, ErrTorn, objectName(d.File, d.Generation, d.Sequence))
	}
	if err := read(d); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

// Range is the times to which a file can be put back.
type Range struct{ Oldest, Newest time.Time }

// RangeOf returns the range of a file. ok is false if the archive has nothing of it.
func RangeOf(ctx context.Context, b Backend, file string) (r Range, ok bool, err error) {
	all, err := generations(ctx, b, file)
	if err != nil || len(all) == 0 {
		return Range{}, false, err
	}
	i, err := newest(ctx, b, file, all, time.Time{})
	if err != nil || i < 0 {
		return Range{}, false, err
	}
	last := all[i]
	h, err := head(ctx, b, file, last.name, last.objects-1)
	return Range{Oldest: all[0].from, Newest: h.Time}, err == nil, err
}

// Remove deletes all that the archive has of a file.
func Remove(ctx context.Context, b Backend, file string) error {
	all, err := generations(ctx, b, file)
	if err != nil {
		return err
	}
	for _, g := range all {
		if err := g.remove(ctx, b, file); err != nil {
			return err
		}
	}
	return nil
}

// prune deletes the generations that no time from oldest on needs.
func prune(ctx context.Context, b Backend, file string, oldest time.Time) error {
	all, err := generations(ctx, b, file)
	if err != nil {
		return err
	}
	for i, g := range all {
		if i+1 == len(all) || all[i+1].from.After(oldest) {
			return nil
		}
		if err := g.remove(ctx, b, file); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a generation, its base last: what is left by a process that dies
// shows that it was longer.
func (g generation) remove(ctx context.Context, b Backend, file string) error {
	names, err := b.List(ctx, file+"/"+g.name)
	if err != nil {
		return err
	}
	for _, name := range slices.Backward(names) {
		if err := b.Delete(ctx, file+"/"+g.name+"/"+name); err != nil {
			return fmt.Errorf("remove %s/%s/%s: %w", file, g.name, name, err)
		}
	}
	return nil
}
