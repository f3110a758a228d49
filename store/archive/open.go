package archive

import (
	"fmt"
	"strings"
)

// Open returns the backend that a URL names, and the URL in one form: a directory,
// or a bucket as s3://bucket/prefix, see [OpenS3]. The keys are those of the bucket.
func Open(url string, keys Keys) (b Backend, name string, err error) {
	if place, ok := strings.CutPrefix(url, "s3://"); ok {
		s, err := OpenS3(place, keys)
		if err != nil {
			return nil, "", err
		}
		return s, s.String(), nil
	}
	if strings.Contains(url, "://") {
		return nil, "", fmt.Errorf("%s: an archive is in a directory, or at s3://bucket/prefix", url)
	}
	d, err := NewDir(url)
	if err != nil {
		return nil, "", err
	}
	return d, d.String(), nil
}
