//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"echocast/gateway/token"
	"echocast/internal/testwait"
)

// certificate writes a certificate for 127.0.0.1 that signs itself, and its key. It
// returns their files and who trusts it.
func certificate(t *testing.T, dir string) (cert, key string, trust *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key, trust = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	trust.AppendCertsFromPEM(text)
	write(t, cert, string(text))
	write(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return cert, key, trust
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// line is the line of a file of tokens for one that may do all.
func line(secret, name string) string {
	hash := token.Hash(secret)
	return hex.EncodeToString(hash[:]) + " create,speak,listen " + name + "\n"
}

// caller makes requests with a token.
type caller struct {
	client *http.Client
	secret string
}

// ask makes a request, and returns the status of the answer; 0: there was none.
func (c *caller) ask(t *testing.T, method, url string, body io.Reader, into any) int {
	t.Helper()
	r, err := http.NewRequestWithContext(testwait.Context(t), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.secret)
	answer, err := c.client.Do(r)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		t.Errorf("%s: %v", url, err)
	}
	return answer.StatusCode
}

// The program serves TLS with a certificate, and reads the tokens again at SIGHUP while a
// conversation continues.
func TestTLSAndSIGHUP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key, trust := certificate(t, dir)
	tokens, first, second := filepath.Join(dir, "tokens"), strings.Repeat("1", 32), strings.Repeat("2", 32)
	write(t, tokens, line(first, "first"))
	g := startGateway(t, nil, "--rehearse", "--tls-cert", cert, "--tls-key", key, "--tokens", tokens)
	web := clientOf(trust)
	before, after := &caller{web, first}, &caller{web, second}
	var c created
	if status := before.ask(t, "POST", g.url, strings.NewReader("{}"), &c); status != http.StatusCreated {
		t.Fatalf("status %d", status)
	}
	stranger := &caller{&http.Client{Transport: &http.Transport{}}, first}
	if status := stranger.ask(t, "GET", g.url, nil, &struct{}{}); status != 0 {
		t.Errorf("a client that does not trust the certificate is answered with %d", status)
	}
	inClear := strings.Replace(g.url, "https:", "http:", 1)
	if answer, err := http.Get(inClear); err == nil { //nolint:noctx // the program ends with the test
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("a request in clear is answered with %d", answer.StatusCode)
		}
		_ = answer.Body.Close() // what counts is the status
	}
	heard := speakBySocket(t, web, g.url+"/"+c.ID, first)

	write(t, tokens, line(second, "second"))
	g.hangUp(t)
	ctx, status := testwait.Context(t), 0
	for status != http.StatusOK && ctx.Err() == nil {
		if before.ask(t, "GET", g.url, nil, &struct{}{}) == http.StatusUnauthorized {
			status = after.ask(t, "GET", g.url, nil, &struct{}{})
		}
	}
	if status != http.StatusOK {
		t.Errorf("with the new token the answer is %d", status)
	}
	if outcome := heard(); outcome != "finished" {
		t.Errorf("what was spoken meanwhile is %s", outcome)
	}
	if err := g.program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := g.program.Wait(); err != nil {
		t.Errorf("the program: %v", err)
	}
}

// clientOf makes a client that trusts a certificate. Each request opens a new connection.
func clientOf(trust *x509.CertPool) *http.Client {
	config := &tls.Config{RootCAs: trust, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// On SIGHUP files that are missing or broken leave the tokens and the certificate from before
// in force, and one line each says why. Files in order replace them.
func TestSIGHUPWithBrokenFiles(t *testing.T) {
	t.Parallel()
	dir, secret := t.TempDir(), strings.Repeat("1", 32)
	cert, key, trust := certificate(t, dir)
	_, otherKey, _ := certificate(t, t.TempDir())
	other, err := os.ReadFile(otherKey)
	if err != nil {
		t.Fatal(err)
	}
	tokens := filepath.Join(dir, "tokens")
	write(t, tokens, line(secret, "app"))
	g := startGateway(t, nil, "--rehearse", "--tls-cert", cert, "--tls-key", key, "--tokens", tokens)
	before := &caller{clientOf(trust), secret}
	for _, broken := range []struct {
		file, text, says string // without a text the file is missing
	}{
		{tokens, "", "tokens: no such file"},
		{tokens, "any " + line(secret, "app"), "tokens: line 1: it must be: SHA256 create,speak,listen NAME"},
		{tokens, "\n", "tokens: it has no token"},
		{cert, "", "cert.pem: no such file"},
		{cert, "no PEM", "failed to find any PEM data"},
		{key, string(other), "private key does not match public key"},
	} {
		whole, err := os.ReadFile(broken.file)
		if err == nil {
			err = os.Remove(broken.file)
		}
		if err != nil {
			t.Fatal(err)
		}
		if broken.text != "" {
			write(t, broken.file, broken.text)
		}
		g.hangUp(t)
		// Both files are read again before the next one breaks.
		said := g.awaitLine("the file of tokens ") + g.awaitLine("the certificate ")
		if strings.Count(said, "could not be read; the earlier") != 1 || !strings.Contains(said, broken.says) {
			t.Errorf("of %s it says %q, want %q", broken.file, said, broken.says)
		}
		if status := before.ask(t, "GET", g.url, nil, &struct{}{}); status != http.StatusOK {
			t.Errorf("after %q the answer is %d", broken.says, status)
		}
		write(t, broken.file, string(whole))
	}
	_, _, trustRenewed := certificate(t, dir) // in place of the first
	g.hangUp(t)
	g.awaitLine("the certificate was read again")
	if status := before.ask(t, "GET", g.url, nil, &struct{}{}); status != 0 {
		t.Errorf("a client that trusts the old certificate alone is answered with %d", status)
	}
	after := &caller{clientOf(trustRenewed), secret}
	if status := after.ask(t, "GET", g.url, nil, &struct{}{}); status != http.StatusOK {
		t.Errorf("with the new certificate the answer is %d", status)
	}
}

// hangUp sends the program a SIGHUP.
func (g *gatewayProcess) hangUp(t *testing.T) {
	t.Helper()
	if err := g.program.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// speakBySocket begins an utterance of two seconds by a WebSocket. The function that it
// returns waits for its receipt, and returns the outcome.
func speakBySocket(t *testing.T, client *http.Client, url, secret string) (heard func() string) {
	t.Helper()
	ctx := testwait.Context(t)
	conn, _, err := websocket.Dial(ctx, url+"/socket?format=s16le&rate=24000", &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: http.Header{"Authorization": {"Bearer " + secret}},
	})
	if err == nil {
		err = conn.Write(ctx, websocket.MessageBinary, make([]byte, 2*2*24000))
	}
	if err == nil {
		err = conn.Write(ctx, websocket.MessageText, []byte(`{"type":"end"}`))
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		defer conn.CloseNow() //nolint:errcheck // all was read
		for {
			var e struct {
				Type string
				Data struct{ Receipt struct{ Outcome string } }
			}
			_, text, err := conn.Read(ctx)
			if err != nil {
				return fmt.Sprint(err)
			}
			if json.Unmarshal(text, &e) == nil && e.Type == "receipt" {
				return e.Data.Receipt.Outcome
			}
		}
	}
}
