package secrets

import (
	"context"
	"errors"
	"os"
)

// Rekey makes a new key and encrypts all secrets with it. Broken off anywhere, it
// leaves a key that opens all of them, and goes on when it is run again: first both
// keys are kept, then each secret changes over, then the old key is dropped. It
// returns how many secrets there are. Errors: [ErrNoKey], [ErrLocked].
func (s *Store) Rekey(ctx context.Context, at Keeper) (n int, err error) {
	err = s.alone(ctx, func() error {
		old, err := at.Load()
		if err != nil {
			return err
		}
		if err := s.opens(old); err != nil { // before anything is changed
			return err
		}
		both := old
		if !old.changing() {
			newer, err := NewKey()
			if err != nil {
				return err
			}
			both = old.with(newer)
			if err := at.Save(both); err != nil {
				return err
			}
		}
		if n, err = s.change(ctx, both); err != nil {
			return err
		}
		return at.Save(both.first())
	})
	return n, err
}

// opens fails if a key does not open all that is stored.
func (s *Store) opens(k Key) error {
	entries, err := s.List()
	for _, e := range entries {
		_, openErr := s.get(e.Name, k)
		err = errors.Join(err, openErr)
	}
	return err
}

// change encrypts all that is stored with the first key; it stays of the time when
// it was put.
func (s *Store) change(ctx context.Context, k Key) (int, error) {
	entries, err := s.List()
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		v, err := s.get(e.Name, k)
		if err == nil {
			err = s.put(e.Name, v, k)
		}
		if err == nil {
			err = os.Chtimes(s.path(e.Name), e.Put, e.Put)
		}
		if err != nil {
			return 0, err
		}
	}
	return len(entries), nil
}
