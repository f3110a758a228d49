//go:build unix

package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// envChild has this program be a child that does something with what it was handed.
const envChild = "HANDOVER_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(envChild); what != "" {
		if err := child(what); err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child answers one connection with its process id, in the way that what says.
func child(what string) error {
	if strings.HasPrefix(what, "systemd ") { // which knows the process id
		if err := os.Setenv(envPID, strconv.Itoa(os.Getpid())); err != nil {
			return err
		}
	}
	l, err := Open()
	if err != nil {
		return err
	}
	for _, name := range []string{envPID, envCount, envNames, envParent, envReady} {
		if _, there := os.LookupEnv(name); there {
			return errors.New(name + " is left")
		}
	}
	_, addr, _ := strings.Cut(what, " ")
	opened := false
	at, err := l.Listen("web", addr, func() (net.Listener, error) { opened = true; return net.Listen("tcp", addr) })
	if err != nil {
		return err
	}
	if strings.HasPrefix(what, "fails ") {
		l.Failed(errors.New("no disk"))
		return errors.New("as it should")
	}
	if strings.HasPrefix(what, "hangs ") {
		select {}
	}
	if err := l.Ready(); err != nil {
		return err
	}
	conn, err := at.Accept()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(conn, "process %d opened it: %v\n", os.Getpid(), opened)
	return errors.Join(err, conn.Close())
}

func listen(t *testing.T) (*Listeners, net.Listener) {
	t.Helper()
	l := &Listeners{}
	at, err := l.Listen("web", "127.0.0.1:0", func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = at.Close() })
	return l, at
}

func ask(t *testing.T, c net.Conn) string {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	said, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(said)
}

// Who has connected before the old process closed its listener is answered by the new
// one.
func TestReplace(t *testing.T) {
	l, at := listen(t)
	waiting, err := net.Dial("tcp", at.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	t.Setenv(envChild, "serves "+at.Addr().String())
	pid, err := l.Replace(t.Context(), Program{Path: os.Args[0]})
	if err != nil {
		t.Fatal(err)
	}
	if err := at.Close(); err != nil {
		t.Fatal(err)
	}
	if got, want := ask(t, waiting), fmt.Sprintf("process %d opened it: false", pid); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestReplaceFails(t *testing.T) {
	l, at := listen(t)
	for _, c := range []struct{ what, says string }{
		{"fails " + at.Addr().String(), "no disk"},
		{"serves 127.0.0.1:999999", "without a word"},
	} {
		t.Setenv(envChild, c.what)
		if _, err := l.Replace(t.Context(), Program{Path: os.Args[0]}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	if _, err := l.Replace(t.Context(), Program{Path: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v", err)
	}
	// It still accepts, and Close still ends an Accept.
	done := make(chan error, 1)
	go func() { _, err := at.Accept(); done <- err }()
	if err := at.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}

// What systemd hands over is used, wherever it is.
func TestFromSystemd(t *testing.T) {
	for _, name := range []string{"web", "concierge.socket", "unknown"} {
		at, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := at.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), envChild+"=systemd 127.0.0.1:1", envCount+"=1", envNames+"="+name)
		cmd.ExtraFiles = []*os.File{f}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", at.Addr().String())
		if err = errors.Join(err, f.Close(), at.Close()); err != nil { // the child is the only one
			t.Fatal(err)
		}
		if got := ask(t, conn); !strings.HasSuffix(got, "opened it: false") {
			t.Errorf("%s: %q", name, got)
		}
		said, _ := io.ReadAll(out)
		if err := errors.Join(cmd.Wait(), conn.Close()); err != nil {
			t.Errorf("%s: %v: %s", name, err, said)
		}
	}
}

// What is wrong, or meant for another process, is not taken for descriptors.
func TestOpenRefuses(t *testing.T) {
	self, parent := strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())
	for name, env := range map[string][]string{
		"no number":             {envPID, self, envCount, "many"},
		"too many":              {envPID, self, envCount, "1000"},
		"below none":            {envPID, self, envCount, "-1"},
		"another's child":       {envParent, self, envCount, "0"},
		"another descriptor":    {envParent, parent, envCount, "0", envReady, "1"},
		"descriptor of letters": {envParent, parent, envCount, "0", envReady, "x"},
	} {
		for i := 0; i < len(env); i += 2 {
			t.Setenv(env[i], env[i+1])
		}
		if _, err := Open(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	t.Setenv(envPID, "1")
	t.Setenv(envCount, "3")
	if l, err := Open(); err != nil || len(l.given) > 0 {
		t.Errorf("meant for another process: %v", err)
	}
}

func TestSameAddress(t *testing.T) {
	for _, c := range []struct {
		at, addr string
		same     bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true}, {"127.0.0.1:80", "127.0.0.1:0", true}, {"127.0.0.1:80", ":80", false},
		{"[::]:80", ":80", true}, {"[::]:80", "0.0.0.0:80", true}, {"127.0.0.1:80", "127.0.0.1:81", false},
		{"[::1]:80", "127.0.0.1:80", false}, {"127.0.0.1:80", "no address", false},
	} {
		at, err := net.ResolveTCPAddr("tcp", c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := sameAddress(at, c.addr); got != c.same {
			t.Errorf("%s is at %s: %v", c.at, c.addr, got)
		}
	}
}

func TestNotify(t *testing.T) {
	if err := Notify("READY=1"); err != nil {
		t.Errorf("nobody to tell: %v", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := Notify(Reloading()...); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 256)
	n, err := conn.Read(got)
	if err != nil || !strings.HasPrefix(string(got[:n]), "RELOADING=1") {
		t.Errorf("%q, %v", got[:n], err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Notify("READY=1"); err == nil {
		t.Error("nobody was told")
	}
}

// Signals that come while nobody looks after them wait.
func TestSignals(t *testing.T) {
	s := Catch()
	defer s.Release()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var got []string
	ctx, done := context.WithCancel(t.Context())
	s.Run(ctx, func() { got = append(got, "reload"); _ = syscall.Kill(os.Getpid(), syscall.SIGUSR2) },
		func() { got = append(got, "replace"); done() })
	if !slices.Equal(got, []string{"reload", "replace"}) {
		t.Errorf("%v", got)
	}
}
