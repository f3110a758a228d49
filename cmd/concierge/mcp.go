package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/events-concierge/concierge/server/host"
	"github.com/events-concierge/concierge/store"
	"github.com/events-concierge/concierge/tools"
)

func newMCP() *cobra.Command {
	return group("mcp", "Speak MCP on standard input and output, for Claude Desktop and the like",
		newMCPHost(), newMCPGuest())
}

func newMCPHost() *cobra.Command {
	var user string
	var files hostsFlags
	var network networkFlags
	var logs logFlags
	cmd := &cobra.Command{
		Use:   "host --user EMAIL",
		Short: "Your own Host, with the owner's rights",
		Long: "Serves the Host of one user over stdio, with the owner's rights: whoever can start this\n" +
			"program on the data directory owns it. A user who is not there yet is registered.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if user == "" {
				return misuse("--user is missing: your email address")
			}
			log, err := logs.logger(cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			secrets, err := files.openSecrets(log)
			if err != nil {
				return err
			}
			network.use(secrets)
			if err := errors.Join(files.valid(), network.valid()); err != nil {
				return err
			}
			network.data, files.command = files.data, "mcp host"
			tracer, endTracing, err := openTracing(ctx, log)
			if err != nil {
				return err
			}
			defer endTracing()
			// Payments outlive the signal to stop; so does the chain.
			side := network.openLate(context.WithoutCancel(ctx), log)
			defer func() { err = errors.Join(err, side.close()) }()
			hosts, stop, err := openHosts(ctx, files, &network, side, side, log)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, stop()) }()
			id, err := hosts.UserID(user)
			if err != nil {
				return misuse("--user: %v", err)
			}
			// Its token goes unused, for on this pipe nobody else can call; `user
			// token` makes another when it is wanted.
			if _, _, err := hosts.Register(ctx, host.Registration{Email: user}); err != nil && !errors.Is(err, store.ErrUserExists) {
				return err
			}
			s := tools.NewServer(versionName(), log)
			if tracer != nil {
				s.Use(tools.Traced(tracer))
			}
			return hosts.ServeHost(ctx, s, id, store.ScopeOwner, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "email address of the Host's owner")
	files.add(cmd)
	network.addSettling(cmd)
	logs.add(cmd, "warn")
	return cmd
}
