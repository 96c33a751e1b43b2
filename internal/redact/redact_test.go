package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"echocast/internal/redact"
)

// forms are the encodings of a secret in the output of programs.
func forms(secret string) map[string]string {
	inJSON, _ := json.Marshal(secret)
	allEscaped := ""
	for _, b := range []byte(secret) {
		allEscaped += fmt.Sprintf("%%%02X", b)
	}
	return map[string]string{
		"plain":           secret,
		"JSON":            string(inJSON),
		"JSON in JSON":    strings.ReplaceAll(secret, "/", `\/`),
		"Go":              strconv.Quote(secret),
		"Go, ASCII":       strconv.QuoteToASCII(secret),
		"query":           url.QueryEscape(secret),
		"path":            url.PathEscape(secret),
		"every byte":      allEscaped,
		"lower case":      strings.ToLower(allEscaped),
		"HTML":            html.EscapeString(secret),
		"hex":             hex.EncodeToString([]byte(secret)),
		"HEX":             strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"base64":          base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 URL":      base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"basic, 1 before": base64.StdEncoding.EncodeToString([]byte("abc:" + secret)),
		"basic, 2 before": base64.StdEncoding.EncodeToString([]byte("abcd:" + secret + ":more")),
	}
}

func TestSecretsAreFoundInEveryForm(t *testing.T) {
	for _, secret := range []string{"0123456789abcdef", "a+b/c=d&e<f>\"g'h\\i", "grüße-für-dich", "+/+/+/+/????>>>>"} {
		secrets := redact.New("", secret)
		for name, form := range forms(secret) {
			got := secrets.Text("the server said <" + form + "> to it")
			if !strings.Contains(got, redact.Mark) || strings.Contains(got, secret) {
				t.Errorf("%q in %s is shown: %s", secret, name, got)
			}
			if !strings.HasPrefix(got, "the server said <") || !strings.HasSuffix(got, "> to it") {
				t.Errorf("%q in %s: more is gone: %s", secret, name, got)
			}
			if len(got) > len("the server said <> to it")+len(redact.Mark)+20 {
				t.Errorf("%q in %s: part of it is left: %s", secret, name, got)
			}
		}
	}
}

func TestLongerSecretsAreReplacedFirst(t *testing.T) {
	if got := redact.New("token", "token-of-room").Text("a token-of-room b token c"); got != "a redacted b redacted c" {
		t.Error(got)
	}
}

func TestOrdinaryTextStays(t *testing.T) {
	const text = "the quick brown fox: 100% of \\u0041 &amp; YWJjZGVm"
	for _, secrets := range []*redact.Secrets{nil, {}, redact.New(), redact.New("", "s3cr3t-key"), redact.New("ab")} {
		if got := secrets.Text(text); got != text {
			t.Errorf("became %q", got)
		}
	}
}

func TestErrorKeepsCause(t *testing.T) {
	secrets := redact.New("hunter2hunter2")
	err := secrets.Error(fmt.Errorf("bad header \"hunter2hunter2\": %w", io.ErrUnexpectedEOF))
	if err.Error() != `bad header "redacted": unexpected EOF` || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if secrets.Error(io.EOF) != io.EOF || secrets.Error(nil) != nil {
		t.Error("an error without a secret is another")
	}
}

func FuzzText(f *testing.F) {
	f.Add("0123456789abcdef", "key 0123456789abcdef")
	f.Add("ü\xff\x00", "a\xffb")
	f.Fuzz(func(t *testing.T, secret, text string) {
		secrets := redact.New(secret)
		if secret == "" || strings.Contains(redact.Mark, secret) {
			return
		}
		if got := secrets.Text(text + secret); strings.HasSuffix(got, secret) && !strings.HasSuffix(redact.Mark, secret) {
			t.Errorf("%q is shown in %q", secret, got)
		}
	})
}

// The passwords in a list of URLs are as secret as one.
func TestKnowWordsOfAList(t *testing.T) {
	redact.KnowWords([]string{"serve", "--nats", "nats://u:first-of-list@a:1,nats://u:second-of-list@b:1"})
	if text := redact.Hide("first-of-list second-of-list"); strings.Contains(text, "of-list") {
		t.Error(text)
	}
}
