package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// healthTimeout is how long a server that is alive takes at most to say so.
const healthTimeout = 5 * time.Second

func newHealthcheck() *cobra.Command {
	var addr, where string
	var ready bool
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the server on this machine whether it is alive, as a container's health check does",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base, err := healthBase(where, addr)
			if err != nil {
				return err
			}
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			return healthy(cmd.Context(), base.JoinPath(path)) // #nosec G125 -- one of two constants
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8402", "address that the server listens on")
	cmd.Flags().StringVar(&where, "url", "", "where it is reached, such as https://127.0.0.1, if it is not by http at --addr")
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it can take payments (/readyz)")
	return cmd
}

// healthBase returns where the server is asked: one that listens on all addresses is
// asked at this machine's own.
func healthBase(where, addr string) (*url.URL, error) {
	if where != "" {
		u, err := url.Parse(where)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, misuse("--url %q: want a scheme and a host, such as https://127.0.0.1", where)
		}
		return u, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, misuse("--addr %q: want a host and a port, such as 127.0.0.1:8402", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}, nil
}

func healthy(ctx context.Context, u *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // it is on this machine
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsLoopback() {
		// Its certificate names the domain. Nothing is sent that another could use.
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // #nosec G402 -- asks this machine alone whether it answers
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s answers %s", u, resp.Status)
	}
	return nil
}
