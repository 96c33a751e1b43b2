package main

import (
	"io"
	"strings"
	"testing"
)

const before = `goos: linux
BenchmarkEncode/50ms/echocast-2   1000   900 ns/op   5278 MB/s   0 B/op   0 allocs/op
BenchmarkEncode/50ms/echocast-2   1000   1000 ns/op   5278 MB/s   0 B/op   0 allocs/op
BenchmarkFile/mp3/echocast-2   1000   5000 ns/op   12 x-real-time   0 B/op   100 allocs/op
PASS
`

func TestCompare(t *testing.T) {
	for _, c := range []struct{ name, after, want string }{
		{"the same", before, ""},
		{"a run among others was slow", strings.Replace(before, "  1000 ns/op", "  9000 ns/op", 1), ""},
		{"slower", strings.NewReplacer("900 ns", "1100 ns", "1000 ns", "1100 ns").Replace(before), "1 of 2"},
		{"one allocation", strings.ReplaceAll(before, " 0 allocs", " 1 allocs"), "1 of 2"},
		{"a few more of many", strings.Replace(before, "100 allocs", "105 allocs", 1), ""},
		{"more of many", strings.Replace(before, "100 allocs", "106 allocs", 1), "1 of 2"},
		{"a new stage", before + "BenchmarkNew/a/echocast-2 1 1 ns/op 9 allocs/op\n", ""},
		{"none in common", "PASS\n", "no stage"},
		{"broken", strings.Replace(before, "900 ns", "9x0 ns", 1), "9x0"},
	} {
		stages, _ := parse(strings.NewReader(before))
		changed, err := parse(strings.NewReader(c.after))
		if err == nil {
			err = compare(stages, changed, 1.2, io.Discard)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
