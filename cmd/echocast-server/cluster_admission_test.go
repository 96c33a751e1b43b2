//go:build unix

package main

import (
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"echocast/cluster/natstest"
	"echocast/internal/testwait"
)

// refusedToJoin runs a gateway that cannot join its cluster, and returns its exit code and its
// last line.
func refusedToJoin(t *testing.T, args ...string) (code int, line string) {
	t.Helper()
	program := exec.CommandContext(testwait.Context(t), os.Args[0],
		append([]string{"serve", "--rehearse", "--listen", "127.0.0.1:0"}, args...)...)
	program.Env = append(os.Environ(), runsTheProgram+"=1")
	out, _ := program.CombinedOutput() // its exit code is what counts
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return program.ProcessState.ExitCode(), lines[len(lines)-1]
}

// A gateway that cannot join says in one line what is wrong and which option may help.
func TestJoinErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := natstest.Start(t, nil).ClientURL()
	full := natstest.Start(t, &server.Options{JetStreamMaxStore: 500_000}).ClientURL()
	encrypted, _ := encryptedNATS(t, dir)
	without := natstest.Start(t, &server.Options{Accounts: []*server.Account{server.NewAccount("A")},
		Users: []*server.User{{Username: "jane", Password: "secret"}}}).ClientURL()
	unencrypted := strings.Replace(plain, "nats:", "tls:", 1)
	lists := "nats://u:hush-hush@127.0.0.1:1,nats://u:hush-hush@127.0.0.1:2"
	none := filepath.Join(dir, "none")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"nobody there": {[]string{"--nats", lists}, 5, []string{"@127.0.0.1:2", "can be reached"}},
		"untrusted":    {[]string{"--nats", encrypted}, 5, []string{"is not trusted", "--nats-ca FILE"}},
		"no TLS there": {[]string{"--nats", unencrypted}, 5, []string{"secure connection not available"}},
		"no credentials": {
			[]string{"--nats", without}, 4, []string{"does not accept", "--nats-creds FILE"},
		},
		"too few servers": {
			[]string{"--nats", plain, "--nats-replicas", "3"}, 4, []string{"--nats-replicas 3", "fewer servers"},
		},
		"no room": {[]string{"--nats", full}, 4, []string{"no room for the streams", "max_file_store"}},
		"no such credentials": {
			[]string{"--nats", plain, "--nats-creds", none}, 2, []string{"--nats-creds", "no such file"},
		},
		"no such authority": {
			[]string{"--nats", plain, "--nats-ca", none}, 2, []string{"--nats-ca", "no such file"},
		},
		"no certificate": {
			[]string{"--nats", encrypted, "--nats-ca", file}, 2, []string{"--nats-ca", "no certificate (PEM)"},
		},
		"no directory": {
			[]string{"--nats", "embedded", "--data", file}, 2, []string{"--data " + file, "not a directory"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, line := refusedToJoin(t, c.args...)
			for _, want := range c.says {
				if !strings.Contains(line, want) || strings.Contains(line, "hush") {
					t.Errorf("it does not say %q: %s", want, line)
				}
			}
			if code != c.code {
				t.Errorf("the exit code is %d: %s", code, line)
			}
		})
	}
}

// encryptedNATS is a server with a certificate, and the file with its authority.
func encryptedNATS(t *testing.T, dir string) (address, authority string) {
	t.Helper()
	cert, key, _ := certificate(t, dir)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := natstest.Start(t, &server.Options{TLS: true, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}})
	return "tls://" + natstest.Address(s), cert
}

// A gateway reaches NATS by TLS, where it trusts the authority.
func TestNATSOverTLS(t *testing.T) {
	t.Parallel()
	address, authority := encryptedNATS(t, t.TempDir())
	node := startGateway(t, nil, "--rehearse", "--nats", address, "--nats-ca", authority)
	node.create(t, `{"to":"rehearsal"}`)
}

// accounts is a server of NATS with an operator.
type accounts struct {
	t        *testing.T
	operator nkeys.KeyPair
	resolver server.MemAccResolver
	dir      string
	url      string
}

func newAccounts(t *testing.T) *accounts {
	t.Helper()
	a := &accounts{t: t, dir: t.TempDir()}
	a.operator = must(nkeys.CreateOperator())
	operator := jwt.NewOperatorClaims(must(a.operator.PublicKey()))
	operator.SystemAccount, _ = a.add("system", false)
	text := must(operator.Encode(a.operator))
	s := natstest.Start(t, &server.Options{
		TrustedOperators: []*jwt.OperatorClaims{must(jwt.DecodeOperatorClaims(text))}, AccountResolver: &a.resolver,
		SystemAccount: operator.SystemAccount,
	})
	a.url = s.ClientURL()
	return a
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// add makes an account, and a file with the credentials of a user of it who may use the
// subjects of docs/cluster.md and no others.
func (a *accounts) add(name string, hasJetStream bool) (account, creds string) {
	key := must(nkeys.CreateAccount())
	account = must(key.PublicKey())
	claims := jwt.NewAccountClaims(account)
	if hasJetStream {
		limits := &claims.Limits.JetStreamLimits
		limits.DiskStorage, limits.MemoryStorage, limits.Streams, limits.Consumer = -1, -1, -1, -1
	}
	if err := a.resolver.Store(account, must(claims.Encode(a.operator))); err != nil {
		a.t.Fatal(err)
	}
	user := must(nkeys.CreateUser())
	may := jwt.NewUserClaims(must(user.PublicKey()))
	may.Permissions = jwt.Permissions{
		Pub: jwt.Permission{Allow: jwt.StringList{
			"$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "$KV.>", "echocast.v1.>", "_INBOX.>",
		}},
		Sub: jwt.Permission{Allow: jwt.StringList{"echocast.v1.place", "_INBOX.>"}},
	}
	file := must(jwt.FormatUserConfig(must(may.Encode(key)), must(user.Seed())))
	creds = filepath.Join(a.dir, name+".creds")
	write(a.t, creds, string(file))
	return account, creds
}

// Nodes of one account share their conversations. Nodes of another account see none of them, and
// have separate streams in the same servers.
func TestNATSAccountsAreSeparate(t *testing.T) {
	t.Parallel()
	all := newAccounts(t)
	_, ours := all.add("ours", true)
	_, theirs := all.add("theirs", true)
	join := func(creds string) *gatewayProcess {
		return startGateway(t, nil, "--rehearse", "--nats", all.url, "--nats-creds", creds)
	}
	first, second, stranger := join(ours), join(ours), join(theirs)
	conversation := first.create(t, `{"to":"rehearsal"}`)
	second.insist(t, http.MethodGet, conversation)
	answer, err := http.Get(stranger.url + "/" + conversation) //nolint:noctx // the program ends with the test
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // it is not read
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("a stranger gets %s", answer.Status)
	}
	_, none := all.add("none", false)
	if code, line := refusedToJoin(t, "--nats", all.url, "--nats-creds", none); code != 4 ||
		!strings.Contains(line, "no JetStream") {
		t.Errorf("an account without JetStream: exit code %d, %s", code, line)
	}
	other := newAccounts(t)
	if code, line := refusedToJoin(t, "--nats", other.url, "--nats-creds", ours); code != 4 ||
		!strings.Contains(line, "--nats-creds FILE") {
		t.Errorf("credentials of another operator: exit code %d, %s", code, line)
	}
}

// Streams are stored on as many servers as --nats-replicas says, and a conversation continues
// when one of them ends.
func TestThreeNATSServers(t *testing.T) {
	t.Parallel()
	three, audience := natstest.StartThree(t), openAudience(t)
	urls := natstest.URLs(three...)
	a := startGateway(t, nil, "--nats", urls, "--nats-replicas", "3")
	conversation, first := begin(t, a, a, audience.url, ramp(2))
	conn, err := nats.Connect(urls)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js := must(jetstream.New(conn))
	names := 0
	for info := range js.ListStreams(t.Context()).Info() {
		names++
		if info.Config.Replicas != 3 {
			t.Errorf("stream %s is on %d servers", info.Config.Name, info.Config.Replicas)
		}
	}
	if names != 5 {
		t.Errorf("%d streams", names)
	}
	three[0].Shutdown()
	three[0].WaitForShutdown()
	second := a.say(t, conversation, ramp(1))
	for _, utterance := range []string{first, second} {
		if u := a.waitOver(t, conversation, utterance); u.Receipt.Outcome != "finished" {
			t.Errorf("an utterance ended so: %+v", u)
		}
	}
	if code, line := refusedToJoin(t, "--nats", urls, "--nats-replicas", "5"); code != 4 ||
		!strings.Contains(line, "--nats-replicas 5") {
		t.Errorf("five replicas on three servers: exit code %d, %s", code, line)
	}
}
