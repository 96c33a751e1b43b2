package rtc

import (
	"crypto/tls"
	"os"
	"strings"
	"testing"
)

// Risk names what is missing: a room key, TLS, or both.
func TestRisk(t *testing.T) {
	for want, o := range map[string]Options{
		"":                            {Key: "key", TLS: &tls.Config{}},
		"there is no room key and no": {},
		"there is no room key: ":      {TLS: &tls.Config{}},
		"there is no TLS: ":           {Key: "key"},
	} {
		if got := o.Risk(); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestDialURL(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Skip(err)
	}
	for listening, want := range map[string]string{
		"http://127.0.0.1:8870/":    "http://127.0.0.1:8870/ private",
		"https://[::1]:1/":          "https://[::1]:1/ private",
		"https://192.0.2.1:8870/":   "https://192.0.2.1:8870/ public",
		"https://[::]:8870/":        "https://" + host + ":8870/ public",
		"https://0.0.0.0:8870/":     "https://" + host + ":8870/ public",
		"https://[2001:db8::1]:80/": "https://[2001:db8::1]:80/ public",
	} {
		address, public := DialURL(listening)
		if got := address + map[bool]string{true: " public", false: " private"}[public]; got != want {
			t.Errorf("%s: %s, want %s", listening, got, want)
		}
	}
}
