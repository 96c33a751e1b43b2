package cli

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"echocast/gateway/token"
)

// The options of serve reach the server. Unsafe or wrong ones are refused in one line, before
// anything listens.
func TestServeOptions(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	hash := token.Hash(secret)
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte(hex.EncodeToString(hash[:])+" create app\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args, want string // of stderr
	}{
		{"--max-conversations 0", "--max-conversations must be at least 1"},
		{"--drain 0s", "--drain must be more than 0"},
		{"--max-lateness 0s", "--max-lateness must be more than 0"},
		{"--max-per-token 3", "--max-per-token needs --tokens FILE"},
		{"--allow-origin app.example", "--allow-origin app.example: it must be SCHEME://HOST, such as https://app.example"},
		{"--bot-host wss://bots.example", "--bot-host wss://bots.example: it must be HOST, HOST:PORT or *.DOMAIN"},
		{"--otlp 127.0.0.1:4318", "--otlp 127.0.0.1:4318: it must be a URL such as http://127.0.0.1:4318"},
		{"--tokens none", "--tokens none: "},
		{"--listen 8880", "--listen 8880: it must be HOST:PORT, such as 127.0.0.1:8870"},
		{"--listen 0.0.0.0:0", "--listen 0.0.0.0:0: other machines reach this address, so it needs --tokens FILE"},
		{"--listen :0", "--listen :0: other machines reach this address, so it needs --tokens FILE"},
		{"--listen 0.0.0.0:0 --tokens " + tokens, "--listen 0.0.0.0:0: tokens and speech would be sent in clear"},
		{"--tls-cert c.pem", "--tls-cert and --tls-key must be given together"},
		{"extra", `echocast serve takes options only, and no "extra"`},
	} {
		errs := &bytes.Buffer{}
		server := &Server{Serve: func(context.Context, net.Listener, *ServeOptions) error {
			t.Errorf("%s: it was served", test.args)
			return nil
		}}
		args := append([]string{"echocast", "serve", "--rehearse"}, strings.Fields(test.args)...)
		err := runApp(t.Context(), args, Streams{Out: &bytes.Buffer{}, Err: errs}, server)
		if exitCode(err) != exitUsage || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.args, err, test.want)
		}
	}
	served := false
	server := &Server{Serve: func(_ context.Context, listener net.Listener, o *ServeOptions) error {
		served = true
		entry, ok := o.Tokens.Find(secret)
		logs := o.Log.Enabled(t.Context(), slog.LevelInfo)
		if !ok || entry.Name != "app" || o.Reload == nil || o.MaxConversations != 7 || !logs {
			t.Errorf("served with %+v", o)
		}
		return listener.Close()
	}}
	errs := &bytes.Buffer{}
	args := strings.Fields("echocast serve --listen 0.0.0.0:0 --insecure --max-conversations 7 --tokens " + tokens)
	if err := runApp(t.Context(), args, Streams{Out: &bytes.Buffer{}, Err: errs}, server); err != nil || !served {
		t.Errorf("served: %t, %v", served, err)
	}
	if said := errs.String(); !strings.Contains(said, "echocast: the gateway listens") ||
		!strings.Contains(said, `curl -H "Authorization: Bearer TOKEN" -d`) {
		t.Errorf("stderr: %s", errs)
	}
}

// With --log-format json each line of the gateway is one record, with its attributes.
func TestServeLogsJSON(t *testing.T) {
	server := &Server{Serve: func(_ context.Context, listener net.Listener, o *ServeOptions) error {
		log := o.Log.With("conversation", "c1")
		log.Info("conversation open")
		log.Warn("a warning")
		return listener.Close()
	}}
	for options, want := range map[string]int{"": 2, " --quiet": 1} {
		errs := &bytes.Buffer{}
		args := strings.Fields("echocast serve --rehearse --listen 127.0.0.1:0 --log-format json" + options)
		streams := Streams{Out: &bytes.Buffer{}, Err: errs}
		linesTo(&streams)
		if err := runApp(t.Context(), args, streams, server); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(errs.String(), `"conversation":"c1"`); n != want {
			t.Errorf("%s: %d records, want %d:\n%s", args, n, want, errs)
		}
	}
}

// An address on which a command cannot listen is wrong usage, and the message names its option.
func TestAddressesToListenOn(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	server := &Server{Serve: func(context.Context, net.Listener, *ServeOptions) error { return errors.New("served") }}
	for _, command := range []string{"replica --listen", "serve --rehearse --listen", "listen --webhook"} {
		name := command[strings.LastIndex(command, " ")+1:]
		for address, says := range map[string]string{
			taken.Addr().String(): ": another program uses this port; name another port, or 0 for a free one",
			"127.0.0.1:99999":     ": address 99999: invalid port",
			"8870":                ": it must be HOST:PORT, such as 127.0.0.1:8870",
		} {
			args := append([]string{"echocast"}, strings.Fields(command+" "+address)...)
			err := runApp(t.Context(), args, Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}, server)
			if exitCode(err) != exitUsage || err.Error() != name+" "+address+says {
				t.Errorf("%s: %v", args, err)
			}
		}
	}
}
