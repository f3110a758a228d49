package main

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server"
	"github.com/events-concierge/concierge/server/host"
)

// reloadable are the keys whose new values hold at once when the configuration is
// read again; all others want a restart.
var reloadable = []string{"log-level", "log-format", "rate-ip", "rate-user", "rate-tool", "max-connections", "max-connections-ip",
	"quota-requests", "quota-events", "quota-bytes", "cors-origin", "registration", "verify-email", "smtp", "smtp-from"}

// reloader is a server whose configuration is read again.
type reloader struct {
	command *cobra.Command // that it was started with
	options *serveOptions
	web     *server.Server
	hosts   *host.Hosts
	secure  *secured
	log     *slog.Logger
}

// reload has what the files and the secrets say now hold, as far as that is possible
// in a running process. When something is wrong with it nothing changes.
func (r *reloader) reload() {
	fresh := new(serveOptions)
	changed, s, err := reload(r.command, fresh.command())
	if err == nil {
		err = fresh.openSecrets(r.log)
	}
	if err == nil {
		err = fresh.valid()
	}
	var registration server.Registration
	if err == nil {
		registration, err = fresh.accounts.open(r.options.network.name)
	}
	if err != nil {
		if s != nil {
			err = s.where(err)
		}
		r.log.Error("reload: nothing has changed", "err", err)
		return
	}
	r.web.Reload(server.Reloadable{Limits: fresh.limits, Origins: fresh.origins, Registration: registration})
	r.hosts.SetQuotas(fresh.hosts.quotas)
	if r.secure != nil && r.secure.reload != nil {
		if err := r.secure.reload(); err != nil {
			r.log.Error("reload: the certificate stays as it is", "err", err)
		}
	}
	if err := r.options.log.set(fresh.log.level, fresh.log.format); err != nil {
		r.log.Error("reload: the log stays as it is", "err", err) // it was valid a moment ago
	}
	slices.Sort(changed)
	later := slices.DeleteFunc(slices.Clone(changed), func(key string) bool { return slices.Contains(reloadable, key) })
	now := slices.DeleteFunc(changed, func(key string) bool { return slices.Contains(later, key) })
	r.log.Info("reloaded", "other_than_at_the_start", strings.Join(now, ","))
	if len(later) > 0 {
		r.log.Warn("reload: these keys have changed, and hold only after a restart", "keys", strings.Join(later, ","))
	}
}
