package server

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/server/web"
	"github.com/events-concierge/concierge/store"
)

const (
	signInPath   = "/sign-in"
	signInCookie = "concierge_sign_in"
)

// signInPage is what the pages of the sign-in show.
type signInPage struct {
	Next string
	// Codes says that this server can send codes; Mailed that it does so by mail, and
	// not by its log.
	Codes, Mailed   bool
	Invited, Closed bool
	Email, Invite   string
	Shown           string // the code, where money is play money and the browser on this machine
	Minutes         int    // that a code is good for
	Done            string // what has been done, in a word
	Error, Field    string // what is wrong, and with what
}

// attempt is a sign-in on its way. The browser keeps it, in a cookie of that path: an
// email must not be in a URL.
type attempt struct {
	Email  string `json:"email"`
	Invite string `json:"invite,omitempty"`
	Next   string `json:"next,omitempty"`
	Shown  string `json:"shown,omitempty"`
}

// signInPages adds the ways in and out.
func (s *Server) signInPages(mux *http.ServeMux) {
	mux.HandleFunc("GET "+signInPath, s.page(s.signInForm))
	mux.HandleFunc("POST "+signInPath, s.page(s.askForCode))
	mux.HandleFunc("GET "+signInPath+"/code", s.page(s.codeForm))
	mux.HandleFunc("POST "+signInPath+"/code", s.page(s.signInByCode))
	mux.HandleFunc("POST "+signInPath+"/token", s.page(s.signInByToken))
	mux.HandleFunc("POST /sign-out", s.page(s.signOut))
}

func (s *Server) signInPage() signInPage {
	r := s.registration()
	return signInPage{Codes: r.Mail != nil || r.PlayMoney, Mailed: r.Mail != nil, Invited: r.Invited && !r.Closed, Closed: r.Closed,
		Minutes: int(store.CodeValid.Minutes())}
}

func (s *Server) showSignIn(w http.ResponseWriter, r *http.Request, status int, name string, p signInPage) error {
	w.Header().Set("Cache-Control", "no-store")
	title := "Sign in"
	if name == "sign-in-code" {
		title = "Your code"
	}
	return s.show(w, r, status, web.View{Name: name, Title: title, Current: "mine", NoIndex: true, Data: p,
		Description: "Sign in to your events, or begin to host some."})
}

// refuseSignIn shows a form again, with what was wrong with it. What is wrong with the
// server is a page of its own.
func (s *Server) refuseSignIn(w http.ResponseWriter, r *http.Request, name string, p signInPage, field string, err error) error {
	said := problemOf(err)
	if said.status >= 500 {
		return err
	}
	rec := recordOf(r.Context())
	rec.code, rec.err = said.code, said.cause
	p.Field, p.Error = field, plainWords(said)
	return s.showSignIn(w, r, said.status, name, p)
}

// plainWords says to people what [problemOf] says to programs.
func plainWords(p *problem) string {
	switch p.code {
	case "invite_required":
		return "This email is not registered here, and that wants an invitation. Ask the operator of this server for one, and begin again."
	case "invite_invalid":
		return "The invitation is not one of this server's, or was used or has expired. Ask for another."
	case "registration_closed":
		return "This email is not registered here, and nobody new can register. Ask the operator of this server to add you."
	case "code_invalid":
		return "The code is wrong, or was used, or has expired, or was tried too often. Look at the last mail, or have another code sent."
	}
	return p.detail
}

// signInForm is where who is not signed in begins.
func (s *Server) signInForm(w http.ResponseWriter, r *http.Request) error {
	next := localPath(r.URL.Query().Get("next"))
	found, err := s.sessionOf(r)
	if err != nil {
		return err
	}
	if found.user != "" {
		return seeOther(w, r, orHome(next))
	}
	p := s.signInPage()
	p.Next = next
	if r.URL.Query().Get("done") == "out" {
		p.Done = "out"
	}
	return s.showSignIn(w, r, http.StatusOK, "sign-in", p)
}

// askForCode sends a code to an email, whoever's it is.
func (s *Server) askForCode(w http.ResponseWriter, r *http.Request) error {
	if err := s.takeSignIn(r); err != nil {
		return err
	}
	try := attempt{Email: strings.TrimSpace(r.PostFormValue("email")), Invite: strings.TrimSpace(r.PostFormValue("invite")),
		Next: localPath(r.PostFormValue("next"))}
	p := s.signInPage()
	p.Email, p.Invite, p.Next = try.Email, try.Invite, try.Next
	if try.Invite != "" && !s.registration().Closed {
		if err := s.Hosts.CheckInvite(r.Context(), try.Invite); err != nil {
			return s.refuseSignIn(w, r, "sign-in", p, "invite", err)
		}
	}
	shown, err := s.mailCode(r.Context(), try.Email)
	if err != nil {
		return s.refuseSignIn(w, r, "sign-in", p, "email", err)
	}
	if s.onThisMachine(r) {
		try.Shown = shown
	}
	raw, err := json.Marshal(try)
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookie(r, signInCookie, base64.RawURLEncoding.EncodeToString(raw), signInPath, int(store.CodeValid.Seconds())))
	return seeOther(w, r, signInPath+"/code")
}

// attemptOf reads what a browser keeps of a sign-in on its way.
func (s *Server) attemptOf(r *http.Request) (try attempt, ok bool) {
	c, err := r.Cookie(s.cookie(r, signInCookie, "", signInPath, 0).Name)
	if err != nil || len(c.Value) > 4096 {
		return try, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || json.Unmarshal(raw, &try) != nil || try.Email == "" {
		return attempt{}, false
	}
	try.Next = localPath(try.Next)
	return try, true
}

func (s *Server) forgetAttempt(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, s.cookie(r, signInCookie, "", signInPath, -1))
}

func (s *Server) codePage(try attempt) signInPage {
	p := s.signInPage()
	p.Email, p.Invite, p.Next, p.Shown = try.Email, try.Invite, try.Next, try.Shown
	return p
}

func (s *Server) codeForm(w http.ResponseWriter, r *http.Request) error {
	try, ok := s.attemptOf(r)
	if !ok {
		return seeOther(w, r, signInPath)
	}
	return s.showSignIn(w, r, http.StatusOK, "sign-in-code", s.codePage(try))
}

// signInByCode signs in who has proved their email, and registers them if they are
// new and may be.
func (s *Server) signInByCode(w http.ResponseWriter, r *http.Request) error {
	if err := s.takeSignIn(r); err != nil {
		return err
	}
	try, ok := s.attemptOf(r)
	if !ok {
		return seeOther(w, r, signInPath)
	}
	refuse := func(err error) error {
		return s.refuseSignIn(w, r, "sign-in-code", s.codePage(try), "code", err)
	}
	if err := s.Hosts.UseCode(r.Context(), try.Email, spaceless(r.PostFormValue("code"))); err != nil {
		s.guessed(r, err)
		return refuse(err)
	}
	user, token, err := s.userOf(r, try)
	if err != nil {
		return refuse(err)
	}
	secret, err := s.Hosts.NewSession(r.Context(), user.ID)
	if err == nil {
		err = s.signedIn(w, r, user.ID, secret)
	}
	if err != nil {
		return err
	}
	s.forgetAttempt(w, r)
	if token == "" {
		return seeOther(w, r, orHome(try.Next))
	}
	return s.showWelcome(w, r, user, token, try.Next)
}

// userOf returns whose email was proved, with their first token if they are new.
func (s *Server) userOf(r *http.Request, try attempt) (user store.User, token string, err error) {
	id, err := s.Hosts.UserID(try.Email)
	if err != nil {
		return user, "", err
	}
	user, err = s.Hosts.Server.User(r.Context(), id)
	switch {
	case err == nil:
		return user, "", nil
	case errors.Is(err, store.ErrUserLeaving):
		return user, "", &problem{status: http.StatusConflict, code: "user_leaving", detail: "This user is being removed. Register anew when that is done."}
	case !errors.Is(err, store.ErrUserNotFound):
		return user, "", err
	}
	if err := s.mayJoin(r.Context(), try.Invite); err != nil {
		return user, "", err
	}
	return s.newUser(r.Context(), host.Registration{Email: try.Email, Invite: try.Invite})
}

// signInByToken signs in who has an owner token.
func (s *Server) signInByToken(w http.ResponseWriter, r *http.Request) error {
	client, counted := clientOf(r)
	if counted {
		if v := s.limits().wrong.Look(client, s.Hosts.Now()); !v.OK {
			return s.refuse(r.Context(), s.limits().wrong.Policy, v)
		}
	}
	next := localPath(r.PostFormValue("next"))
	secret, user, err := s.Hosts.NewTokenSession(r.Context(), r.PostFormValue("token"))
	if errors.Is(err, host.ErrNotOwnerToken) {
		s.guessed(r, err)
		p := s.signInPage()
		p.Next = next
		return s.refuseSignIn(w, r, "sign-in", p, "token", &problem{status: http.StatusForbidden, code: "wrong_token",
			detail: "This is not an owner token of this server. It begins with ec_ and is 46 characters long; tokens of scope check-in or read can't sign in."})
	}
	if err == nil {
		err = s.signedIn(w, r, user, secret)
	}
	if err != nil {
		return err
	}
	return seeOther(w, r, orHome(next))
}

// takeSignIn counts a step of a sign-in with the registrations of an address.
func (s *Server) takeSignIn(r *http.Request) error {
	if client, counted := clientOf(r); counted {
		return take(s, r.Context(), s.limits().register, client, 1)
	}
	return nil
}

// guessed counts a code or token that was wrong.
func (s *Server) guessed(r *http.Request, err error) {
	if client, counted := clientOf(r); counted && (errors.Is(err, store.ErrCode) || errors.Is(err, host.ErrNotOwnerToken)) {
		s.limits().wrong.Take(client, 1, s.Hosts.Now())
	}
}

// onThisMachine reports whether a browser runs beside the server, as far as can be
// known: not through a proxy, which is on this machine as well.
func (s *Server) onThisMachine(r *http.Request) bool {
	return fromHere(r) && (s.PublicURL == nil || isLoopback(s.PublicURL.Host))
}

// welcome is shown to who is new, once.
type welcome struct{ MCPURL, Token, Next string }

func (s *Server) showWelcome(w http.ResponseWriter, r *http.Request, user store.User, token, next string) error {
	w.Header().Set("Cache-Control", "no-store")
	return s.show(w, r, http.StatusOK, web.View{Name: "welcome", Title: "Welcome", Current: "mine", NoIndex: true,
		Data: welcome{MCPURL: s.mcpURL(r, user.ID), Token: token, Next: orHome(next)}})
}

// mcpURL is where a user's Host is reached.
func (s *Server) mcpURL(r *http.Request, user string) string { return s.base(r) + "/mcp/users/" + user }

// seeOther has a browser get another page after a form.
func seeOther(w http.ResponseWriter, r *http.Request, to string) error {
	http.Redirect(w, r, to, http.StatusSeeOther) // #nosec G710 -- localPath has refused what is not a path of ours
	return nil
}

func orHome(next string) string {
	if next == "" {
		return "/my-mcp"
	}
	return next
}

// spaceless is a code as it was sent, however it was typed.
func spaceless(code string) string {
	return strings.Map(func(c rune) rune {
		if c == ' ' || c == '-' || c == '\u00a0' {
			return -1
		}
		return c
	}, code)
}
