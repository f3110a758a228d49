package main

import (
	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/mail"
)

// Environment variables with the mail server's credentials, which are never flags.
const (
	envSMTPUser     = "CONCIERGE_SMTP_USER"
	envSMTPPassword = "CONCIERGE_SMTP_PASSWORD"
)

// accountFlags say who may register.
type accountFlags struct {
	registration string
	verify       bool
	smtp         string
	from         string
	secrets      *credentials
}

func (a *accountFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.registration, "registration", "", "who may register over HTTP: open (everybody), invite or closed (default: base invite, else open)")
	cmd.Flags().BoolVar(&a.verify, "verify-email", false, "have who registers prove their email by a code (on devnet without --smtp it is shown)")
	cmd.Flags().StringVar(&a.smtp, "smtp", "", "HOST:PORT of the mail server that sends the codes; its credentials are the secrets "+string(secretSMTPUser)+" and "+string(secretSMTPPassword)+" (or in "+envSMTPUser+" and "+envSMTPPassword+")")
	cmd.Flags().StringVar(&a.from, "smtp-from", "", `who the codes are from, such as "Events <events@example.org>"`)
}

// open checks the flags for a network.
func (a *accountFlags) open(network string) (server.Registration, error) {
	r := server.Registration{Verify: a.verify, PlayMoney: network == onDevnet}
	switch a.registration {
	case "":
		r.Invited = network == onBase
	case "open":
	case "invite":
		r.Invited = true
	case "closed":
		r.Closed = true
	default:
		return r, misuse("--registration %q: want open, invite or closed", a.registration)
	}
	switch {
	case a.smtp != "":
		sender, err := mail.New(mail.Config{Server: a.smtp, From: a.from,
			User: a.secrets.get(secretSMTPUser).Reveal(), Password: a.secrets.get(secretSMTPPassword).Reveal()})
		if err != nil {
			return r, misuse("--smtp, --smtp-from: %v", err)
		}
		r.Mail = sender
	case a.from != "":
		return r, misuse("--smtp-from needs --smtp: the mail server that sends")
	case secretSMTPPassword.isGiven():
		return r, misuse("%s is set, but not --smtp: name the mail server that it is for", envSMTPPassword)
	case a.verify && network != onDevnet:
		return r, misuse("--verify-email needs --smtp and --smtp-from: the mail server that sends the codes")
	}
	return r, nil
}
