package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store/archive"
)

// backupBehind is how far an archive may be behind what was written: serve archives
// every second, and who runs 'concierge backup' by a timer does so at least daily.
const backupBehind = 26 * time.Hour

// backup looks at the archive, and how old its newest copy is.
func (d *doctor) backup(ctx context.Context) []finding {
	b := &d.serve.hosts.backup
	const advice = "run serve with --backup, or 'concierge backup' by a timer, and keep a copy of secret.key elsewhere"
	if b.url == "" {
		if d.serve.network.name == onBase {
			return []finding{warning("backup", "there is none", advice)}
		}
		return []finding{fine("backup", "none is configured; "+d.serve.network.name+" has no real money")}
	}
	to, name, err := archive.Open(b.url, b.secrets.bucket())
	if err != nil {
		return []finding{failed("backup", err.Error(), "see --backup, and the bucket's credentials")}
	}
	span, users, err := host.ListArchive(ctx, to, "")
	if errors.Is(err, archive.ErrNotFound) {
		return []finding{failed("backup", name+" has nothing yet", advice)}
	}
	if err != nil {
		return []finding{failed("backup", name+" can't be read: "+err.Error(), "see --backup, and the bucket's credentials")}
	}
	behind := lastChange(d.serve.hosts.data).Sub(span.Newest)
	says := fmt.Sprintf("%s goes from %s to %s, with %d users", name, span.Oldest.UTC().Format(time.RFC3339), span.Newest.UTC().Format(time.RFC3339), users)
	if behind > backupBehind {
		return []finding{failed("backup", fmt.Sprintf("%s; it is %s behind the data", says, behind.Truncate(time.Minute)), advice)}
	}
	return []finding{fine("backup", says)}
}

// lastChange is when the server's file was last written.
func lastChange(data string) (last time.Time) {
	for _, name := range []string{"server.db", "server.db-wal"} {
		if info, err := os.Stat(filepath.Join(data, name)); err == nil && info.Size() > 0 && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// dateAt returns what time an HTTP server says it is.
func dateAt(ctx context.Context, address string) (time.Time, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+"/supported", nil)
	if err != nil {
		return time.Time{}, errNoDate // the error has the address, which may have a key
	}
	client := http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return time.Time{}, errNoDate
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	return http.ParseTime(resp.Header.Get("Date"))
}
