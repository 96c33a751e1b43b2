package text

import "testing"

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"plain, naïve 日本 \uFFFD":     "plain, naïve 日本 \uFFFD",
		"\x1b[2J\r\n\t\x7f":          `\x1b[2J\x0d\x0a\x09\x7f`,
		"raw \x9b31m":                `raw \x9b31m`, // CSI in Latin-1 terminals
		"encoded \u009b31m":          `encoded \x9b31m`,
		"cut \xe6\x97":               `cut \xe6\x97`,
		"gpj.\u202eexe":              `gpj.\u202eexe`,
		"\u2066a\u2069 \u061c\u200f": `\u2066a\u2069 \u061c\u200f`,
		"zero\u200bwidth\u2028line":  `zero\u200bwidth\u2028line`,
		"soft\u00adhyphen":           `soft\xadhyphen`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("Printable(%q) is %q, want %q", text, got, want)
		}
	}
}
