package main

import (
	"log/slog"
	"path/filepath"

	"github.com/events-concierge/concierge/store/archive"
	"github.com/events-concierge/concierge/store/secrets"
)

// openSecrets reads what is stored in the data directory, and hands it to all that
// wants secrets. It may be called again, for what has been put since.
func (o *serveOptions) openSecrets(log *slog.Logger) error {
	c, err := o.hosts.openSecrets(log)
	if err != nil {
		return err
	}
	o.network.use(c)
	o.accounts.secrets, o.agent.secrets = c, c
	return nil
}

// openSecrets does so for what is about the Hosts.
func (h *hostsFlags) openSecrets(log *slog.Logger) (*credentials, error) {
	for _, found := range secrets.Private(filepath.Join(h.data, "secret.key"), 0o600) {
		log.Warn("secrets", "err", found.Advice)
	}
	c, err := h.secrets.open(h.data, log)
	if err != nil {
		return nil, err
	}
	h.wallets.secrets, h.backup.secrets = c, c
	return c, nil
}

// use has the network's side take its secrets from c. A stored URL of a node is for
// who names none, on a chain that is not embedded.
func (n *networkFlags) use(c *credentials) {
	n.secrets = c
	if n.rpc == "" && n.name != onDevnet {
		n.rpc = c.get(secretRPCURL).Reveal()
	}
}

// bucketSecrets are those that an archive in a bucket wants.
func bucketSecrets() []secretName {
	return []secretName{secretAWSKeyID, secretAWSKey, secretAWSSession}
}

// bucket returns them.
func (c *credentials) bucket() archive.Keys {
	return archive.Keys{ID: c.get(secretAWSKeyID).Reveal(), Secret: c.get(secretAWSKey).Reveal(), Session: c.get(secretAWSSession).Reveal()}
}
