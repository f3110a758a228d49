package archive_test

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/events-concierge/concierge/server/testlog"
	"github.com/events-concierge/concierge/store/archive"
)

// newS3 is a bucket of a server in this process, below a prefix.
func newS3(t *testing.T) archive.Backend {
	t.Helper()
	server := httptest.NewServer(&bucket{objects: map[string][]byte{"elsewhere/x": []byte("not ours")}})
	t.Cleanup(server.Close)
	for name, value := range map[string]string{"AWS_REGION": "nowhere-1",
		"AWS_ENDPOINT_URL_S3": server.URL, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"} {
		t.Setenv(name, value)
	}
	testlog.Secret("s3cret")
	s, name, err := archive.Open("s3://books/concierge/a", archive.Keys{ID: "key", Secret: "s3cret"})
	if err != nil || name != "s3://books/concierge/a/" {
		t.Fatal(name, err)
	}
	return s
}

func TestOpen(t *testing.T) {
	for place, want := range map[string]string{"s3://books": "AWS_ACCESS_KEY_ID", "s3://": "want s3://", "https://example.org/x": "s3://bucket"} {
		if _, _, err := archive.Open(place, archive.Keys{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", place, err)
		}
	}
}

// bucket is what S3 does with the four requests that are made of it, a few keys a
// page. Every request must be signed.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key, ok := strings.CutPrefix(r.URL.Path, "/books/")
	content, exists := b.objects[key]
	switch {
	case !ok || !strings.Contains(r.Header.Get("Authorization"), "Credential=key/"):
		refuse(w, http.StatusForbidden, "AccessDenied")
	case r.Method == "GET" && key == "":
		b.list(w, r.URL.Query().Get("prefix"), r.URL.Query().Get("continuation-token"))
	case r.Method == "PUT" && exists && r.Header.Get("If-None-Match") == "*":
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	case r.Method == "PUT":
		content, err := body(r)
		if err != nil {
			refuse(w, http.StatusBadRequest, "IncompleteBody")
			return
		}
		b.objects[key] = content
		w.Header().Set("ETag", `"1"`)
	case r.Method == "DELETE":
		delete(b.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case !exists:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	default:
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Last-Modified", "Mon, 01 Jun 2026 12:00:00 GMT")
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(content)
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

// body reads what is sent in signed chunks where there is no TLS.
func body(r *http.Request) ([]byte, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return io.ReadAll(r.Body)
	}
	var all bytes.Buffer
	for in := bufio.NewReader(r.Body); ; {
		var size int64
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if _, err := fmt.Sscanf(line, "%x;", &size); err != nil {
			return nil, err
		}
		if size == 0 {
			return all.Bytes(), nil
		}
		if _, err := io.CopyN(&all, in, size); err != nil {
			return nil, err
		}
		if end, err := in.ReadString('\n'); err != nil || end != "\r\n" {
			return nil, errors.New("a chunk has no end")
		}
	}
}

func (b *bucket) list(w http.ResponseWriter, prefix, after string) {
	type contents struct{ Key, LastModified, ETag string }
	type common struct{ Prefix string }
	var answer struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string
		Contents              []contents
		CommonPrefixes        []common
	}
	last := after
	for _, key := range slices.Sorted(maps.Keys(b.objects)) {
		rest, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		name, _, below := strings.Cut(rest, "/")
		if entry := prefix + name; entry <= after || entry == last {
			continue
		} else if len(answer.Contents)+len(answer.CommonPrefixes) == 3 {
			answer.IsTruncated, answer.NextContinuationToken = true, last
			break
		} else if last = entry; below {
			answer.CommonPrefixes = append(answer.CommonPrefixes, common{entry + "/"})
		} else {
			answer.Contents = append(answer.Contents, contents{key, "2026-06-01T12:00:00.000Z", "1"})
		}
	}
	if err := xml.NewEncoder(w).Encode(answer); err != nil {
		panic(err)
	}
}
