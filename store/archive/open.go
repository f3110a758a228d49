package archive

import (
	"context"
	"fmt"
	"strings"
)

// Open returns the backend that a URL names, and the URL in one form: a directory.
func Open(ctx context.Context, url string) (b Backend, name string, err error) {
	if strings.Contains(url, "://") {
		return nil, "", fmt.Errorf("%s: an archive is in a directory", url)
	}
	d, err := NewDir(url)
	if err != nil {
		return nil, "", err
	}
	return d, d.String(), nil
}
