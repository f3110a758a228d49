package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	maxPages = 16 // of a Host's list of tools
	maxTools = 256
	maxNews  = 16
	listWait = 3 * time.Second // for all Hosts' lists
	// A list is not asked for again while it is fresh: a Host that changes it all
	// the time must not keep a client busy. When it is stale, a call asks for it.
	listFresh = 5 * time.Second
	listStale = time.Minute
)

// toolList is what a Host offered when it last answered.
type toolList struct {
	tools  []*sdk.Tool
	err    error         // why it did not answer the last time
	asked  time.Time     // the last time
	asking chan struct{} // closed when it has answered; nil: it is not being asked
	known  bool          // it has answered once
	missed bool          // somebody was given a list without its tools
}

// Tools asks all Hosts for their tools, and returns them after the Desk's own.
// It waits until ctx ends, at most 3 s, and the Hosts go on being asked. Those of a
// Host that has not answered are as they last were; Unreachable may have why.
func (d *Desk) Tools(ctx context.Context) []Tool { return d.toolsOf(ctx, listFresh) }

// toolsFor is Tools when one is wanted that is not known: a Host that was out of reach
// a moment ago may have it, and is asked again however short that is ago.
func (d *Desk) toolsFor(ctx context.Context) []Tool { return d.toolsOf(ctx, 0) }

// toolsOf is Tools, with the pause after which a Host is asked again that gave no
// answer.
func (d *Desk) toolsOf(ctx context.Context, again time.Duration) []Tool {
	ctx, cancel := context.WithTimeout(ctx, listWait)
	defer cancel()
	for _, answered := range d.refresh(listFresh, again) {
		select {
		case <-answered:
		case <-ctx.Done():
		}
	}
	d.mu.Lock()
	for _, l := range d.lists {
		l.missed = !l.known
	}
	d.mu.Unlock()
	return d.known()
}

// refresh has the Hosts asked that were last asked so long ago, or again ago without
// an answer, and returns a channel for each that is being asked, which is closed when
// it has answered.
func (d *Desk) refresh(after, again time.Duration) []<-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []<-chan struct{}
	now := d.Now()
	for h, l := range d.lists {
		age := now.Sub(l.asked)
		if due := age >= after || l.err != nil && age >= again; due && l.asking == nil && d.life.Err() == nil {
			l.asking, l.asked = make(chan struct{}), now
			d.asking.Go(func() {
				tools, err := h.tools(d.life)
				d.told(h, l, tools, err)
			})
		}
		if l.asking != nil {
			all = append(all, l.asking)
		}
	}
	return all
}

// told takes a Host's answer.
func (d *Desk) told(h *Host, l *toolList, tools []*sdk.Tool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(l.asking)
	l.asking = nil
	if l.err = err; err != nil {
		return
	}
	news := ""
	switch changes := changesOf(l.tools, tools); {
	case l.known && changes != "":
		news = fmt.Sprintf("The host %s has changed its tools: %s. Descriptions and prices that you know of it may be out of date.", h.address, changes)
	case !l.known && l.missed:
		news = fmt.Sprintf("The host %s has answered, and its tools are in the list now.", h.address)
	}
	l.tools, l.known = tools, true
	if news == "" {
		return
	}
	if d.news = append(d.news, news); len(d.news) > maxNews {
		d.news = d.news[1:]
	}
	if d.onChange != nil {
		d.onChange()
	}
}

// News returns what Hosts have changed since it was last asked, a line each.
func (d *Desk) News() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	news := d.news
	d.news = nil
	return news
}

// OnChange has f called whenever there is news. f must not call the Desk.
func (d *Desk) OnChange(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onChange = f
}

// changesOf says in one line how two lists differ; "": they do not.
func changesOf(before, after []*sdk.Tool) string {
	old := map[string][]byte{}
	for _, t := range before {
		old[t.Name], _ = json.Marshal(t) // it came as JSON
	}
	var isNew, changed, gone []string
	for _, t := range after {
		now, _ := json.Marshal(t)
		switch was, ok := old[t.Name]; {
		case !ok:
			isNew = append(isNew, t.Name)
		case !bytes.Equal(was, now):
			changed = append(changed, t.Name)
		}
		delete(old, t.Name)
	}
	for name := range old {
		gone = append(gone, name)
	}
	slices.Sort(gone)
	var all []string
	for _, c := range []struct {
		word  string
		names []string
	}{{"new", isNew}, {"changed", changed}, {"gone", gone}} {
		if len(c.names) > 0 {
			all = append(all, fmt.Sprintf("%d %s (%s)", len(c.names), c.word, words(strings.Join(c.names, ", "))))
		}
	}
	return strings.Join(all, ", ")
}

// Unreachable says why Hosts did not answer when they were last asked for their
// tools, by their addresses.
func (d *Desk) Unreachable() map[string]error {
	d.mu.Lock()
	defer d.mu.Unlock()
	errs := map[string]error{}
	for h, list := range d.lists {
		if list.err != nil {
			errs[h.address] = list.err
		}
	}
	return errs
}

// tools asks a Host for all its tools.
func (h *Host) tools(ctx context.Context) ([]*sdk.Tool, error) {
	tools, err := h.toolsOnce(ctx)
	if errors.Is(err, sdk.ErrConnectionClosed) { // the session had ended before
		tools, err = h.toolsOnce(ctx)
	}
	if err != nil {
		return nil, &strangersError{"list the host's tools", err}
	}
	return tools, nil
}

func (h *Host) toolsOnce(caller context.Context) ([]*sdk.Tool, error) {
	session, err := h.live(caller)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(caller, callTimeout)
	defer cancel()
	var all []*sdk.Tool
	seen := map[string]bool{}
	cursor := ""
	for range maxPages {
		page, err := session.ListTools(ctx, &sdk.ListToolsParams{Cursor: cursor})
		if err != nil {
			if refused := (*jsonrpc.Error)(nil); caller.Err() == nil && !errors.As(err, &refused) {
				h.drop(session)
			}
			return nil, err
		}
		for _, t := range page.Tools {
			if t == nil || seen[t.Name] {
				continue // nobody could say which was meant
			}
			seen[t.Name] = true
			all = append(all, t)
		}
		if len(all) > maxTools {
			return nil, fmt.Errorf("the host has more than %d tools", maxTools)
		}
		if cursor = page.NextCursor; cursor == "" {
			return all, nil
		}
	}
	return nil, fmt.Errorf("the host's list of tools has more than %d pages", maxPages)
}
