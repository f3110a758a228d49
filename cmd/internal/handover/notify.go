package handover

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// Notify tells systemd what becomes of the service, such as READY=1 (sd_notify(3)).
// It does nothing where nobody wants to know.
func Notify(states ...string) error {
	path := os.Getenv("NOTIFY_SOCKET") // one that begins with @ has no file
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(strings.Join(states, "\n"))); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

// Reloading are the states that say that the configuration is read again; READY=1
// ends that.
func Reloading() []string {
	states := []string{"RELOADING=1"}
	if usec, ok := monotonic(); ok {
		states = append(states, fmt.Sprintf("MONOTONIC_USEC=%d", usec))
	}
	return states
}
