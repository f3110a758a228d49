package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/events-concierge/concierge/payments/x402"
	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

// Registration says who may register over HTTP. The zero value is everybody.
type Registration struct {
	// Invited: with an invitation only. Closed: nobody; the operator adds users.
	Invited, Closed bool
	// Verify has who registers prove that the email is theirs, by a code that is
	// sent to it. It also gives a user who has lost their token a new one.
	Verify bool
	// Mail sends the codes.
	Mail Mailer
	// PlayMoney shows the codes to whoever asks, and in the log, where there is no
	// Mail. With neither nobody can be sent a code.
	PlayMoney bool
	// Minute is how many codes are sent in a minute, to all together. 0: 30.
	Minute int
}

// Mailer sends a code to an email. It gives up when ctx ends.
type Mailer interface {
	SendCode(ctx context.Context, email, code string, valid time.Duration) error
}

// mailTimeout is how long who registers waits for the mail server.
const mailTimeout = 15 * time.Second

type registration struct {
	Email         string `json:"email"`
	WalletAddress string `json:"wallet_address,omitempty"`
	Invite        string `json:"invite,omitempty"`
	Code          string `json:"code,omitempty"`
	Recover       bool   `json:"recover,omitempty"`
}

type registered struct {
	User          string `json:"user"`
	MCPURL        string `json:"mcp_url"`
	OwnerToken    string `json:"owner_token"`
	WalletAddress string `json:"wallet_address"`
}

type codeSent struct {
	Status    string `json:"status"`
	ExpiresIn int    `json:"expires_in"` // seconds
	Code      string `json:"code,omitempty"`
}

func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	if client, counted := clientOf(r); counted {
		if err := take(s, r.Context(), s.limits().register, client, 1); err != nil {
			return err
		}
	}
	var in registration
	if err := s.decode(r, &in); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	// Before it is known who is there, and before a mail is sent.
	payTo, err := s.mayRegister(r.Context(), in)
	if err != nil {
		return err
	}
	if s.registration().Verify {
		if strings.TrimSpace(in.Code) == "" {
			return s.sendCode(w, r, in.Email)
		}
		if err := s.Hosts.UseCode(r.Context(), in.Email, in.Code); err != nil {
			return err
		}
	}
	if in.Recover {
		return s.recover(w, r, in.Email)
	}
	user, token, err := s.newUser(r.Context(), host.Registration{Email: in.Email, PayTo: payTo, Invite: in.Invite})
	if err != nil {
		return err
	}
	return s.welcome(w, r, http.StatusCreated, user, token)
}

// newUser registers who may be registered.
func (s *Server) newUser(ctx context.Context, r host.Registration) (store.User, string, error) {
	user, token, err := s.Hosts.Register(ctx, r)
	if errors.Is(err, host.ErrWallet) {
		err = &problem{status: http.StatusServiceUnavailable, code: "wallet_unavailable", cause: err,
			detail: "You could not be given a wallet. Repeat the request in a few minutes, or send the wallet_address of one that you have."}
	}
	return user, token, err
}

// mayRegister finds what is wrong with a registration without asking who is
// registered. Who has an account may always recover it, if there is a way to know
// them.
func (s *Server) mayRegister(ctx context.Context, in registration) (payTo x402.Address, err error) {
	switch {
	case in.Recover && !s.registration().Verify:
		return payTo, &problem{status: http.StatusForbidden, code: string(tools.CodeNotAllowed),
			detail: "This server sends no codes. Ask its operator for a new owner token."}
	case in.Recover:
		return payTo, nil
	}
	if err := s.mayJoin(ctx, in.Invite); err != nil {
		return payTo, err
	}
	if in.WalletAddress != "" {
		if payTo, err = x402.ParseAddress(in.WalletAddress); err != nil || payTo.IsZero() {
			return payTo, &problem{status: http.StatusBadRequest, code: string(tools.CodeInvalidArgument), cause: err,
				detail: "wallet_address is not an address you can be paid at. Send 0x and 40 hex digits, or none to get a wallet."}
		}
	}
	return payTo, nil
}

// mayJoin tells whether somebody new may register with this invitation, or none.
func (s *Server) mayJoin(ctx context.Context, invite string) error {
	switch {
	case s.registration().Closed:
		return &problem{status: http.StatusForbidden, code: "registration_closed",
			detail: "Registration is closed. Ask the operator of this server to add you."}
	case s.registration().Invited && invite == "":
		return &problem{status: http.StatusForbidden, code: "invite_required",
			detail: `Registration is by invitation. Ask the operator of this server for one and send its code as "invite".`}
	case invite != "":
		return s.Hosts.CheckInvite(ctx, invite)
	}
	return nil
}

// sendCode sends a code to an email. The answer is the same whether it is
// registered or not, and takes as long.
func (s *Server) sendCode(w http.ResponseWriter, r *http.Request, email string) error {
	shown, err := s.mailCode(r.Context(), email)
	if err != nil {
		return err
	}
	return reply(w, http.StatusAccepted, codeSent{Status: "verification_sent", ExpiresIn: int(store.CodeValid.Seconds()), Code: shown})
}

// mailCode sends a code to an email. Where there is no mail it returns the code, to be
// shown.
func (s *Server) mailCode(ctx context.Context, email string) (shown string, err error) {
	if s.registration().Mail == nil && !s.registration().PlayMoney {
		return "", &problem{status: http.StatusForbidden, code: string(tools.CodeNotAllowed),
			detail: "This server sends no codes. Ask its operator for an owner token."}
	}
	if !s.codes.AllowN(s.Hosts.Now(), 1) {
		return "", &problem{status: http.StatusTooManyRequests, code: string(tools.CodeOverLimit),
			detail: "Too many codes are being sent. Repeat the request in a minute."}
	}
	code, err := s.Hosts.NewCode(ctx, email)
	if err != nil {
		return "", err
	}
	if s.registration().Mail == nil {
		s.Log.Warn("play money: a verification code is shown instead of sent", "verification", code)
		return code, nil
	}
	// The code is noted and the mail may be on its way: it goes on if the caller is gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mailTimeout)
	defer cancel()
	if err := s.registration().Mail.SendCode(ctx, strings.TrimSpace(email), code, store.CodeValid); err != nil {
		return "", &problem{status: http.StatusServiceUnavailable, code: "mail_unavailable", cause: err,
			detail: "The mail with the code could not be sent. Check the address, and repeat the request in a few minutes."}
	}
	return "", nil
}

// recover gives who has proved their email a new owner token.
func (s *Server) recover(w http.ResponseWriter, r *http.Request, email string) error {
	id, err := s.Hosts.UserID(email)
	if err != nil {
		return err
	}
	user, err := s.Hosts.Server.User(r.Context(), id)
	if err != nil {
		return err
	}
	token, err := s.Hosts.SetToken(r.Context(), id, host.OwnerToken, store.ScopeOwner)
	if err != nil {
		return err
	}
	return s.welcome(w, r, http.StatusOK, user, token)
}

func (s *Server) welcome(w http.ResponseWriter, r *http.Request, status int, user store.User, token string) error {
	recordOf(r.Context()).user = user.ID
	return reply(w, status, registered{User: user.ID, MCPURL: s.base(r) + "/mcp/users/" + user.ID,
		OwnerToken: token, WalletAddress: user.WalletAddress.String()})
}

// accountProblem says how an error about accounts is told, or nil if it is none.
func accountProblem(err error) *problem {
	for _, known := range []struct {
		err    error
		status int
		code   string
		detail string
	}{
		{store.ErrUserNotFound, http.StatusNotFound, "user_not_found", "There is no host at this address."},
		{store.ErrUserExists, http.StatusConflict, "user_exists", "This email is registered already."},
		{store.ErrInvite, http.StatusForbidden, "invite_invalid", "The invitation is not one of this server's, or was used or has expired. Ask for another."},
		{store.ErrCode, http.StatusForbidden, "code_invalid", "The code is wrong, or was used, or has expired, or was tried too often. Repeat the request without a code to be sent another."},
		{store.ErrTooManyCodes, http.StatusTooManyRequests, string(tools.CodeOverLimit), "Too many codes were sent to this email within the hour. Use the last one, or wait."},
		{store.ErrTokenNotFound, http.StatusNotFound, "token_not_found", "There is no token of this name. GET the list of tokens for the names."},
		{store.ErrTokenExists, http.StatusConflict, "token_exists", "There is a token of this name. Rotate it, or choose another name."},
		{store.ErrTooManyTokens, http.StatusConflict, "too_many_tokens", "There can be no more tokens. Delete one first."},
		{store.ErrLastOwner, http.StatusConflict, "last_owner_token", "This is the last token of scope owner. Rotate it, or make another first."},
		{host.ErrEmail, http.StatusBadRequest, string(tools.CodeInvalidArgument), "email is " + host.ErrEmail.Error() + "."},
		{host.ErrTokenName, http.StatusBadRequest, string(tools.CodeInvalidArgument), "name is " + host.ErrTokenName.Error() + "."},
		{host.ErrScope, http.StatusBadRequest, string(tools.CodeInvalidArgument), "scope is " + host.ErrScope.Error() + "."},
	} {
		if errors.Is(err, known.err) {
			return &problem{status: known.status, code: known.code, detail: known.detail}
		}
	}
	return nil
}
