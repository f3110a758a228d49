package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/payments/facilitator"
	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
)

// reloadable are the keys whose new values hold at once when the configuration is
// read again; all others want a restart.
var reloadable = []string{"log-level", "log-format", "rate-ip", "rate-user", "rate-tool", "max-connections", "max-connections-ip",
	"quota-requests", "quota-events", "quota-bytes", "cors-origin", "registration", "verify-email", "smtp", "smtp-from", "operator"}

// reloadableSecrets are those of them whose new values hold at once.
var reloadableSecrets = []secretName{secretSMTPUser, secretSMTPPassword, secretMetricsToken, secretFacilitatorToken, secretCDPKeyID, secretCDPKeySecret}

// reloader is a server whose configuration is read again.
type reloader struct {
	command *cobra.Command // that it was started with
	options *serveOptions
	web     *server.Server
	hosts   *host.Hosts
	pool    *facilitator.Pool // nil: nobody elsewhere settles
	secure  *secured
	notice  io.Writer // to who started it
	log     *slog.Logger
}

// reloaded is what was read again, and is right.
type reloaded struct {
	serveOptions
	changed      []string // keys and secrets that are other than at the start
	registration server.Registration
	operators    []server.Operator
	facilitators []*facilitator.Client // nil: theirs stay as they are
}

// reload has what the files and the secrets say now hold, as far as that is possible
// in a running process. When something is wrong with it nothing changes.
func (r *reloader) reload(ctx context.Context) {
	fresh, err := r.read(ctx)
	if err == nil && r.secure != nil && r.secure.reload != nil {
		if err = r.secure.reload(); err != nil {
			err = fmt.Errorf("tls-cert, tls-key: %w", err)
		}
	}
	if err != nil {
		r.log.Error("reload: nothing has changed", "err", err)
		return
	}
	r.web.Reload(server.Reloadable{Limits: fresh.limits, Origins: fresh.origins, Registration: fresh.registration,
		Operators: fresh.operators, MetricsToken: fresh.network.secrets.get(secretMetricsToken).Reveal()})
	r.hosts.SetQuotas(fresh.hosts.quotas)
	if fresh.facilitators != nil {
		if err := r.pool.Adopt(fresh.facilitators); err != nil {
			r.log.Error("reload: the facilitators' credentials stay as they are", "err", err) // they are of the same flags
		}
	}
	if err := r.options.log.set(fresh.log.level, fresh.log.format); err != nil {
		r.log.Error("reload: the log stays as it is", "err", err) // it was valid a moment ago
	}
	holds := func(key string) bool {
		return slices.Contains(reloadable, key) || slices.Contains(reloadableSecrets, secretName(key))
	}
	later := slices.DeleteFunc(slices.Clone(fresh.changed), holds)
	now := slices.DeleteFunc(fresh.changed, func(key string) bool { return slices.Contains(later, key) })
	r.log.Info("reloaded", "other_than_at_the_start", strings.Join(now, ","))
	if len(later) > 0 {
		r.log.Warn("reload: these keys have changed, and hold only after a restart", "keys", strings.Join(later, ","))
	}
}

// read reads the configuration and the secrets, and finds what is wrong with them.
func (r *reloader) read(ctx context.Context) (_ *reloaded, err error) {
	fresh := new(reloaded)
	var s *configured
	if fresh.changed, s, err = reload(r.command, fresh.command()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = s.where(err)
		}
	}()
	fresh.hosts.data = r.options.hosts.data // where the secrets are, until a restart
	if err := fresh.openSecrets(r.log); err != nil {
		return nil, err
	}
	fresh.changed = append(fresh.changed, differing(r.options.network.secrets, fresh.network.secrets)...)
	slices.Sort(fresh.changed)
	if err := fresh.valid(); err != nil {
		return nil, err
	}
	if fresh.registration, err = fresh.accounts.open(r.options.network.name); err != nil {
		return nil, err
	}
	if fresh.operators, err = fresh.watch.open(ctx, r.hosts, r.notice); err != nil {
		return nil, err
	}
	// A credential may be for a facilitator that is asked only after a restart.
	if r.pool != nil && !slices.Contains(fresh.changed, "facilitator") {
		fresh.facilitators, err = fresh.network.clients()
	}
	return fresh, err
}

// differing returns the names of the secrets that are not the same.
func differing(a, b *credentials) (names []string) {
	for _, k := range knownSecrets() {
		if !k.personal && a.get(k.name).Reveal() != b.get(k.name).Reveal() {
			names = append(names, string(k.name))
		}
	}
	return names
}
