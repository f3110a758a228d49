package guest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/events-concierge/concierge/store"
)

const (
	lookEvery    = 500 * time.Millisecond // into the purse, for an answer
	maxQuestions = 8                      // that a client has before it, for calls to get through beside them
	maxTickets   = 64
	inputID      = "approval"
)

// inquiry is the wish to have a question answered.
type inquiry struct {
	*Proxy
	desk     *Desk
	approval store.Approval
	tool     string
	said     mcp.ElicitationResponseAction // by the client in this very call; "": it was not asked
}

// ask asks the person, in the client if it can do that. It returns what the client
// is to be asked before it makes the same call again, or how the person can
// answer, or neither when they have.
//
// A client's word is taken in two ways only: that the person has filled in the
// form, and that they declined. That they want to see a page (URL mode) is no
// answer; it is given on the page.
func (i inquiry) ask(ctx context.Context) (*mcp.CallToolResult, string) {
	params, ok := i.elicitation(ctx)
	switch {
	case !ok:
		return nil, i.elsewhere(ctx)
	case !server.IsModernRequest(ctx):
		return nil, i.inClient(ctx, params)
	case i.said == "":
		ticket := i.issue(params.Mode)
		return server.NewInputRequestBuilder(ticket).Elicit(inputID, params).ToolResult(), ""
	case i.said == mcp.ElicitationResponseActionAccept && params.Mode == mcp.ElicitationModeURL && i.await(ctx, nil):
		return nil, ""
	}
	return nil, "They were asked, and have not answered."
}

// elicitation is the question as the client can show it, if it can.
func (i inquiry) elicitation(ctx context.Context) (params mcp.ElicitationParams, ok bool) {
	can := abilities(ctx)
	a := i.approval
	switch {
	case can == nil:
		return params, false
	case can.Form != nil || can.URL == nil: // an empty object means forms, as it did before there were pages
		return mcp.ElicitationParams{Mode: mcp.ElicitationModeForm, Message: summary(a), RequestedSchema: json.RawMessage(
			`{"type":"object","properties":{"approve":{"type":"boolean","title":"Approve this payment","default":false}},"required":["approve"]}`)}, true
	case i.Page == nil:
		return params, false
	}
	url, err := i.Page(i.desk.Purse, a)
	return mcp.ElicitationParams{Mode: mcp.ElicitationModeURL, Message: summary(a), URL: url, ElicitationID: fmt.Sprint("approval-", a.ID)}, err == nil
}

// summary is a question in one line. The Host's words come last, so that nothing
// in them passes for ours.
func summary(a store.Approval) string {
	return fmt.Sprintf("Approve a payment of $%s in USDC to %s? It is asked for by the host %s. Approval %d, good for this one payment until %s. In the host's own words it is for %s: %s",
		a.Amount.USD(), a.PayTo, words(a.Host), a.ID, a.ExpiresAt.UTC().Format(time.TimeOnly+" MST"), a.Tool, a.About)
}

func abilities(ctx context.Context) *mcp.ElicitationCapability {
	if info := server.RequestProtocolInfoFromContext(ctx); info != nil && info.Modern {
		return info.ClientCapabilities.Elicitation
	}
	session, ok := server.ClientSessionFromContext(ctx).(clientSession)
	if !ok {
		return nil
	}
	return session.GetClientCapabilities().Elicitation
}

// note takes a client's answer for the person's.
func (p *Proxy) note(ctx context.Context, desk *Desk, id int64, mode string, r mcp.ElicitationResult) {
	yes := false
	switch r.Action {
	case mcp.ElicitationResponseActionDecline:
	case mcp.ElicitationResponseActionAccept:
		content, _ := r.Content.(map[string]any)
		var ok bool
		if yes, ok = content["approve"].(bool); !ok || mode != mcp.ElicitationModeForm {
			return
		}
	default:
		return
	}
	_, _ = desk.Purse.Answer(ctx, id, yes) // if it has expired, they are asked again
}

// ticket is a question that a modern client was asked.
type ticket struct {
	id   int64
	mode string
}

// issue returns what the client sends back with its answer: who does not have it
// was not asked.
func (i inquiry) issue(mode string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.tickets) >= maxTickets {
		clear(i.tickets) // they are asked again
	}
	name := rand.Text()
	i.tickets[name] = ticket{i.approval.ID, mode}
	return name
}

// heard notes the answer that a call brings along, and returns what it was.
func (p *Proxy) heard(ctx context.Context, desk *Desk, request mcp.CallToolRequest) mcp.ElicitationResponseAction {
	p.mu.Lock()
	t, ok := p.tickets[request.Params.RequestState]
	delete(p.tickets, request.Params.RequestState)
	p.mu.Unlock()
	if !ok {
		return ""
	}
	answer := server.ElicitationResponse(request.Params.InputResponses, inputID)
	if answer == nil {
		return mcp.ElicitationResponseActionCancel
	}
	p.note(ctx, desk, t.id, t.mode, *answer)
	return answer.Action
}

// question is one that a client of the older generation has before it.
type question struct {
	done   chan struct{}
	failed bool // the client could not ask; when it is done
	closed bool // nothing will come of it any more; likewise
}

// inClient has the client ask, and waits for an answer.
func (i inquiry) inClient(ctx context.Context, params mcp.ElicitationParams) string {
	session, ok := server.ClientSessionFromContext(ctx).(clientSession)
	if !ok {
		return i.elsewhere(ctx)
	}
	q := i.put(session, params)
	if q == nil {
		return "There are too many questions already; they have to be answered first."
	}
	answered := i.await(ctx, q)
	if answered && params.Mode == mcp.ElicitationModeURL {
		_ = i.server.SendElicitationComplete(ctx, session, params.ElicitationID)
	}
	switch {
	case answered:
		return ""
	case q.is(&q.failed):
		return i.elsewhere(ctx)
	case q.is(&q.closed):
		return "They closed the question without an answer."
	}
	return "They have been asked, and have not answered yet."
}

// put has the client ask, unless it does already. Its answer is noted also when
// nobody waits for it any more.
func (i inquiry) put(session clientSession, params mcp.ElicitationParams) *question {
	id := i.approval.ID
	i.mu.Lock()
	defer i.mu.Unlock()
	if q := i.questions[id]; q != nil || len(i.questions) >= maxQuestions {
		return q
	}
	q := &question{done: make(chan struct{})}
	i.questions[id] = q
	i.work.Go(func() {
		ctx, cancel := i.Within(i.life, i.approval.ExpiresAt.Sub(i.desk.Now()))
		defer cancel()
		r, err := session.RequestElicitation(ctx, mcp.ElicitationRequest{Params: params})
		if err == nil {
			i.note(ctx, i.desk, id, params.Mode, *r)
		}
		q.failed = err != nil
		q.closed = q.failed || params.Mode == mcp.ElicitationModeForm || r.Action != mcp.ElicitationResponseActionAccept
		i.mu.Lock()
		delete(i.questions, id)
		i.mu.Unlock()
		close(q.done)
	})
	return q
}

// is reads a field of q, which is false until it is done.
func (q *question) is(field *bool) bool {
	select {
	case <-q.done:
		return *field
	default:
		return false
	}
}

// await waits until the person has answered, wherever they do that, and reports
// whether they have. It gives up when nothing will come of q, which may be nil.
func (i inquiry) await(ctx context.Context, q *question) bool {
	var done <-chan struct{}
	if q != nil {
		done = q.done
	}
	gone := clientGone(ctx)
	for {
		closed := q != nil && q.is(&q.closed) // before the look into the purse
		a, err := i.desk.Purse.Approval(ctx, i.approval.ID)
		if ctx.Err() == nil && (err != nil || a.State != store.ApprovalAsked) {
			return true
		}
		if closed || ctx.Err() != nil {
			return false
		}
		look, cancel := i.Within(ctx, lookEvery)
		select {
		case <-done:
			done = nil
		case <-gone:
			cancel()
			return false
		case <-look.Done():
		}
		cancel()
	}
}

// clientGone returns what is closed when the client of a call has gone.
func clientGone(ctx context.Context) <-chan struct{} {
	if session, ok := server.ClientSessionFromContext(ctx).(clientSession); ok {
		return session.Done()
	}
	return nil
}

// elsewhere has the person asked without the client: on a page in their browser,
// if one can be opened, and else in a terminal. Only for a page a call waits.
func (i inquiry) elsewhere(ctx context.Context) string {
	how := fmt.Sprintf("They do that with '%s %d' in a terminal of their own.", i.Command, i.approval.ID)
	select {
	case <-clientGone(ctx): // and with it, maybe, the person
		return how
	default:
	}
	if !i.shown() {
		return how
	}
	if i.tool != "quote" && i.await(ctx, nil) {
		return ""
	}
	return "They do that on the page that was opened in their browser, or" + how[len("They do that"):]
}

// shown opens a page with the question, once, and reports whether it could. There
// are no more pages than [maxQuestions] that wait for their answers.
func (i inquiry) shown() bool {
	if i.Page == nil || i.Browse == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.pages[i.approval.ID] {
		return true
	}
	for id := range i.pages {
		if a, err := i.desk.Purse.Approval(i.life, id); err != nil || a.State != store.ApprovalAsked {
			delete(i.pages, id)
		}
	}
	if len(i.pages) >= maxQuestions {
		return false
	}
	url, err := i.Page(i.desk.Purse, i.approval)
	if err != nil || i.Browse(url) != nil {
		return false
	}
	i.pages[i.approval.ID] = true
	return true
}
