package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"echocast/cli"
	"echocast/internal/testwait"
	"echocast/rtc/rtctest"
)

// roomKey is a key that must not appear anywhere.
const roomKey = "canary-9d21/7a0b5c=="

// remote is a replica with a key, TLS and other protection.
type remote struct {
	url, authority string
	stderr         safeBuffer
	stop           context.CancelFunc
	ended          sync.WaitGroup
	code           int
}

// startRemote runs the replica command until the test ends. It reads the address from the
// command's output.
func startRemote(t *testing.T, args ...string) *remote {
	t.Helper()
	certificate, key, err := rtctest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(testwait.Context(t))
	r := &remote{authority: write(t, "cert.pem", certificate), stop: stop}
	said := make(chan string, 1)
	r.ended.Go(func() {
		all := append([]string{"echocast", "replica", "--listen", "127.0.0.1:0", "--tls-cert", r.authority,
			"--tls-key", write(t, "key.pem", key), "--room-key-file", write(t, "room.key", []byte(roomKey+"\n"))}, args...)
		r.code = cli.Run(ctx, all, cli.Streams{Out: &safeBuffer{}, Err: &addressWriter{&r.stderr, said}})
		close(said)
	})
	t.Cleanup(func() {
		stop()
		r.ended.Wait()
	})
	line := testwait.Receive(t, said)
	if line == "" {
		t.Fatal(r.stderr.String())
	}
	r.url = strings.Fields(line[strings.Index(line, "--to ")+5:])[0]
	return r
}

// addressWriter is a stderr that passes on the line with the replica's address.
type addressWriter struct {
	*safeBuffer
	said chan<- string
}

func (a *addressWriter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("the replica listens")) {
		a.said <- string(p)
	}
	return a.safeBuffer.Write(p)
}

func speechFile(t *testing.T) string {
	file, _ := wav(24000, 1, 4800)
	return write(t, "speech.wav", file)
}

// A sender with the key is heard. One without it gets one line and its exit code.
func TestRoomKey(t *testing.T) {
	r := startRemote(t)
	if !strings.HasPrefix(r.url, "https://127.0.0.1:") {
		t.Fatal(r.url)
	}
	right, wrong := write(t, "right", []byte("\t"+roomKey+"\r\n")), write(t, "wrong", []byte("canary-wrong"))
	for name, c := range map[string]struct {
		args []string
		env  string
		code int
		want string
	}{
		"the key in a file": {args: []string{"--tls-ca", r.authority, "--room-key-file", right},
			want: "heard in full: 0.20 s"},
		"the key in the variable": {args: []string{"--tls-ca", r.authority}, env: roomKey, want: "heard in full: 0.20 s"},
		"the file goes before it": {args: []string{"--tls-ca", r.authority, "--room-key-file", right}, env: "another",
			want: "heard in full: 0.20 s"},
		"no key": {args: []string{"--tls-ca", r.authority}, code: 4,
			want: "the room key is missing or wrong; give the replica's with --room-key-file"},
		"a wrong key": {args: []string{"--tls-ca", r.authority, "--room-key-file", wrong}, code: 4,
			want: "the room key is missing or wrong"},
		"a certificate of nobody's": {args: []string{"--room-key-file", right}, code: 5,
			want: "--tls-ca FILE names the authorities to trust"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ECHOCAST_ROOM_KEY", c.env)
			tracing := filepath.Join(t.TempDir(), "trace")
			result := run(t, nil, append([]string{"send", "--json", "--to", r.url, "--trace", tracing, speechFile(t)},
				c.args...)...)
			recorded, err := os.ReadFile(tracing)
			if err != nil {
				t.Fatal(err)
			}
			if result.code != c.code || !strings.Contains(result.stdout+result.stderr, c.want) {
				t.Errorf("%+v", result)
			}
			if c.code != 0 && strings.Count(result.stderr, "\n") != 1 {
				t.Errorf("not one line: %s", result.stderr)
			}
			if left := result.stdout + result.stderr + string(recorded); strings.Contains(left, "canary") {
				t.Errorf("a key is in what it left: %s", left)
			}
		})
	}
	r.stop()
	r.ended.Wait()
	if said := r.stderr.String(); r.code != 0 && r.code != 1 || strings.Contains(said, "canary") ||
		strings.Count(said, "sender connected") != 3 {
		t.Errorf("code %d: %s", r.code, said)
	}
}

// A replica and a sender that know only a TURN server can connect.
func TestPeersThroughRelay(t *testing.T) {
	relay, err := rtctest.NewRelay()
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	file := write(t, "turn", []byte(rtctest.User+"\n"+rtctest.Credential+"\n"))
	way := []string{"--ice-server", relay.URL, "--relay-only", "--ice-credential-file", file}
	r := startRemote(t, way...)
	key := write(t, "right", []byte(roomKey))
	send := append([]string{"send", "--to", r.url, "--tls-ca", r.authority, "--room-key-file", key, speechFile(t)}, way...)
	// 0.2 s of speech are 9.6 kB, and 12.8 in base64.
	if result := run(t, nil, send...); result.code != 0 || relay.Bytes() < 12800 {
		t.Errorf("%d bytes were passed on; %+v", relay.Bytes(), result)
	}
	t.Setenv("ECHOCAST_ICE_USERNAME", rtctest.User)
	t.Setenv("ECHOCAST_ICE_CREDENTIAL", "canary-wrong")
	result := run(t, nil, send[:len(send)-2]...)
	if result.code != 5 || !strings.Contains(result.stderr, "no TURN server gives this machine an address") ||
		strings.Contains(result.stderr, "canary") {
		t.Errorf("%+v", result)
	}
}

// Unsafe options are refused before anything is sent or bound.
func TestPeeringRefusals(t *testing.T) {
	t.Parallel()
	certificate, private, err := rtctest.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	cert, tlsKey := write(t, "c.pem", certificate), write(t, "k.pem", private)
	key, short, empty, one := write(t, "key", []byte(roomKey)), write(t, "short", []byte("canary")),
		write(t, "empty", []byte(" \n")), write(t, "one", []byte("canary"))
	speech := speechFile(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"replica", "--listen", "0.0.0.0:0"}, "needs a room key: give --room-key-file, --tls-cert and --tls-key"},
		{[]string{"replica", "--listen", ":0", "--room-key-file", key}, "listening on all interfaces needs TLS"},
		{[]string{"replica", "--listen", "192.0.2.1:80", "--tls-cert", cert, "--tls-key", tlsKey},
			"listening on 192.0.2.1 needs a room key"},
		{[]string{"replica", "--listen", "0.0.0.0:0", "--tls-cert", cert, "--tls-key", tlsKey, "--room-key-file", short},
			"16 characters or more"},
		{[]string{"replica", "--tls-cert", cert}, "must be given together"},
		{[]string{"replica", "--tls-cert", cert, "--tls-key", cert}, "--tls-key " + cert},
		{[]string{"replica", "--relay-only"}, "--relay-only: only relays are allowed, and there is no TURN server"},
		{[]string{"replica", "--room-key-file", empty}, "the file is empty"},
		{[]string{"send", "--to", "http://192.0.2.1/", "--room-key-file", key, speech},
			"a room key is sent over https:// only"},
		{[]string{"send", "--to", "http://192.0.2.1/", "--insecure", "--room-key-file", key, speech},
			"a room key is sent over https:// only"},
		{[]string{"send", "--to", "http://192.0.2.1/", speech}, "not an https:// URL; use https://, or --insecure"},
		{[]string{"send", "--to", "https://192.0.2.1/", "--tls-ca", tlsKey, speech}, "no certificate in PEM"},
		{[]string{"send", "--to", "https://192.0.2.1/", "--room-key-file", "/none", speech},
			"--room-key-file /none: no such file"},
		{[]string{"send", "--ice-server", "turn:me:canary@192.0.2.1", speech},
			"--ice-server: ICE server \"turn:…@192.0.2.1\" must be stun:HOST"},
		{[]string{"send", "--ice-server", "foo", speech}, "--ice-server: ICE server \"foo\" must be stun:HOST"},
		{[]string{"send", "--ice-server", "turn:192.0.2.1", speech}, "needs a user name and a credential"},
		{[]string{"send", "--ice-server", "turn:192.0.2.1", "--ice-credential-file", one, speech}, "must have two lines"},
	} {
		r := run(t, nil, c.args...)
		if r.code != 2 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, c.want) ||
			strings.Contains(r.stderr, "canary") {
			t.Errorf("%v: want %q\n%+v", c.args, c.want, r)
		}
	}
}
