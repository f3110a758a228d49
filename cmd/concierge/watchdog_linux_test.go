package main

import (
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// told is what a process has told systemd.
type told struct {
	pid    int
	states []string
}

// asSystemd listens as systemd does, and sees who says what.
func asSystemd(t *testing.T) (next func() told) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1) }); err != nil || set != nil {
		t.Fatal(err, set)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	return func() told {
		t.Helper()
		text, oob := make([]byte, 4096), make([]byte, syscall.CmsgSpace(syscall.SizeofUcred))
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		n, m, _, _, err := conn.ReadMsgUnix(text, oob)
		if err != nil {
			t.Fatal(err)
		}
		messages, err := syscall.ParseSocketControlMessage(oob[:m])
		if err != nil || len(messages) != 1 {
			t.Fatalf("who said %q: %v", text[:n], err)
		}
		by, err := syscall.ParseUnixCredentials(&messages[0])
		if err != nil {
			t.Fatal(err)
		}
		return told{int(by.Pid), strings.Split(string(text[:n]), "\n")}
	}
}

// The watchdog of systemd hears that the server answers, and after a handover from the
// process that serves by then.
func TestWatchdogOfServe(t *testing.T) {
	next := asSystemd(t)
	t.Setenv("WATCHDOG_USEC", "1000000")
	chain := start(t, "devnet", "--addr", "127.0.0.1:0").url
	web := serveProcess(t, "concierge", "--data", t.TempDir(), "--rpc", chain, "--no-agent")
	first := web.pid
	until := func(pid int, state string) (before []told) {
		t.Helper()
		for {
			m := next()
			if m.pid == pid && slices.Contains(m.states, state) {
				return before
			}
			before = append(before, m)
		}
	}
	until(first, "READY=1")
	until(first, "WATCHDOG=1")
	until(first, "WATCHDOG=1")

	web.signal(t, syscall.SIGUSR2)
	second, err := strconv.Atoi(web.await(t, servesInstead)[1])
	if err != nil {
		t.Fatal(err)
	}
	web.pid = second
	for _, m := range until(first, "MAINPID="+strconv.Itoa(second)) {
		if m.pid != first {
			t.Errorf("the new process is heard before systemd knows it: %+v", m)
		}
	}
	until(second, "WATCHDOG=1")
	for _, m := range until(second, "WATCHDOG=1") {
		if m.pid != second {
			t.Errorf("the old process still speaks: %+v", m)
		}
	}
	web.signal(t, syscall.SIGTERM)
	until(second, "STOPPING=1")
	if log := web.told(); regexp.MustCompile(`(?m)tell systemd`).MatchString(log) {
		t.Errorf("%s", log)
	}
}
