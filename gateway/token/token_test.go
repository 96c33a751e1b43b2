package token

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	secretA = "0123456789abcdef0123456789abcdef"
	secretB = "fedcba9876543210fedcba9876543210"
)

func hexOf(secret string) string {
	hash := Hash(secret)
	return hex.EncodeToString(hash[:])
}

func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# mine\n\n" + hexOf(secretA) + " create,speak app\n" + hexOf("short") + " listen short\n")
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := f.Find(secretA); !ok || e.Name != "app" || len(e.Scopes) != 2 {
		t.Errorf("the token is %+v, %t", e, ok)
	}
	for _, secret := range []string{"", secretB, "short", hexOf(secretA)} {
		if e, ok := f.Find(secret); ok {
			t.Errorf("%q is taken for %+v", secret, e)
		}
	}
	write("nonsense")
	if err := f.Reload(); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a broken file: %v", err)
	}
	if _, ok := f.Find(secretA); !ok {
		t.Error("a broken file takes back what was read before")
	}
	write(hexOf(secretB) + " listen other\n")
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, ok := f.Find(secretA); ok {
		t.Error("a token that was taken out is still good")
	}
	if _, ok := f.Find(secretB); !ok {
		t.Error("a token that was put in is not good")
	}
}

func TestBrokenFiles(t *testing.T) {
	line := hexOf(secretA) + " speak app"
	for _, test := range []struct{ text, want string }{
		{"", "it has no token"},
		{"# only this\n", "it has no token"},
		{line + "\n" + hexOf(secretA) + " speak", "line 2: it must be: SHA256 create,speak,listen NAME"},
		{"abc speak app", "line 1: the first word must be a SHA-256 in hexadecimal, of 64 characters"},
		{hexOf(secretA) + " speak,fly app", `line 1: there is no scope "fly"; there are create,speak,listen`},
		{line + "\n" + hexOf(secretB) + " speak app", "line 2: another line has this name or token"},
		{line + "\n" + hexOf(secretA) + " speak other", "line 2: another line has this name or token"},
	} {
		if _, err := parse(test.text); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.text, err, test.want)
		}
	}
}
