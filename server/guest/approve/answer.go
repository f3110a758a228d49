package approve

import (
	"bytes"
	"crypto/subtle"
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/events-concierge/concierge/store"
)

// style is the page's; styleHash is its hash, as a content security policy names
// it.
const (
	style = `body{font:16px/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.4rem 1rem}dt{color:#666}dd{margin:0;overflow-wrap:anywhere}.amount{font-size:1.6rem}.theirs{border-left:4px solid #c60;padding-left:.6rem}button{font:inherit;padding:.5rem 1.4rem;margin-right:1rem}`
	// styleHash is checked by a test.
	styleHash = "sha256-cjqMImd+s/pAhY4NIxzMnXg8Cl+54qn/3tlFXDk76vw="
)

//go:embed page.html
var pageHTML string

// view is what the page shows.
type view struct {
	store.Approval
	Style    template.CSS
	Token    string
	USD      string
	Until    string
	Open     bool   // it can be answered
	Approved bool   // it is the answer
	Gone     string // why there is no question
}

func (p *Page) ticket(r *http.Request) (ticket, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.tickets[r.PathValue("secret")]
	return t, ok
}

// show shows a question, and changes nothing.
func (p *Page) show(w http.ResponseWriter, r *http.Request) {
	t, ok := p.ticket(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	a, err := t.purse.Approval(r.Context(), t.id)
	p.write(w, t, a, err)
}

// answer notes what the person chose.
func (p *Page) answer(w http.ResponseWriter, r *http.Request) {
	t, ok := p.ticket(r)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if err := r.ParseForm(); err != nil {
		http.Error(w, "The form can't be read.", http.StatusBadRequest)
		return
	}
	choice := r.PostForm.Get("answer")
	if subtle.ConstantTimeCompare([]byte(r.PostForm.Get("token")), []byte(t.token)) != 1 || choice != "approve" && choice != "deny" {
		http.Error(w, "This is not the form of this page.", http.StatusForbidden)
		return
	}
	a, err := t.purse.Answer(r.Context(), t.id, choice == "approve")
	p.write(w, t, a, err)
}

func (p *Page) write(w http.ResponseWriter, t ticket, a store.Approval, err error) {
	v := view{Approval: a, Style: style, Token: t.token, USD: a.Amount.USD(), Until: a.ExpiresAt.UTC().Format(time.TimeOnly + " MST")}
	status := http.StatusOK
	switch {
	case errors.Is(err, store.ErrNoApproval):
		v.Gone, status = "This question has expired or was used.", http.StatusGone
	case err != nil:
		http.Error(w, "The books can't be read or written.", http.StatusInternalServerError)
		return
	case a.State == store.ApprovalUsed:
		v.Gone, status = "This approval was used: the payment is made or under way.", http.StatusGone
	}
	v.Open, v.Approved = a.State == store.ApprovalAsked, a.State == store.ApprovalApproved
	var page bytes.Buffer
	if err := template.Must(template.New("page").Parse(pageHTML)).Execute(&page, v); err != nil {
		http.Error(w, "The page can't be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // who has gone reads nothing
}
