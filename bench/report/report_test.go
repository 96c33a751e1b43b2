package main

import (
	"slices"
	"strings"
	"testing"
)

const output = `goos: linux
BenchmarkFile/wav-24000Hz-mono/echocast-16 	      74	   2954472 ns/op	1949.59 MB/s	     20308 x-real-time	  376394 B/op	      77 allocs/op
BenchmarkEncode/50ms/echocast-2         	  346722	      1200 ns/op	4000.40 MB/s	       0 B/op	       0 allocs/op
BenchmarkEncode/50ms/echocast-2         	  346722	      1000 ns/op	4800.60 MB/s	       0 B/op	       0 allocs/op
BenchmarkEncode/50ms/naive-2            	   28353	     12000 ns/op	 401.93 MB/s	   12657 B/op	       5 allocs/op
BenchmarkEncode/50ms/memcpy-2           	 5982562	        60.02 ns/op	79975.83 MB/s	       0 B/op	       0 allocs/op
PASS
`

func TestTable(t *testing.T) {
	results, err := parse(output)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(table(results), "\n")
	want := []string{
		"| Encode | 50ms | 1000 ns | +20 % | 4801 |  | 0 | 12 × | 0.06 × |",
		"| File | wav 24000Hz mono | 2.95 ms | +0 % | 1950 | 20308 | 77 |  |  |",
		"",
	}
	if strings.Join(lines[2:], "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s", strings.Join(lines, "\n"))
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{
		"", "PASS\n", "BenchmarkEncode-2 1 1000 ns/op\n", "BenchmarkEncode/50ms/naive-2 1 many ns/op\n",
		"BenchmarkEncode/50ms/naive-2 1 5 MB/s\n",
	} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestUpdate(t *testing.T) {
	readme := "head\n" + beginMark + "\n### A\n\nold a\n\n### B\n\nold machine\n\n| b |\n\n" + endMark + "tail\n"
	want := "head\n" + beginMark + "\n### A\n\nhere\n\nnew a\n\n### B\n\nold machine\n\n| b |\n\n### C\n" +
		"\nhere\n\n| c |\n| d |\n\n" +
		endMark + "tail\n"
	text := "### A\n\nnew a\n\n### C\n\n| c |\n| d |\n\n"
	once, err := update(readme, text, "here\n")
	if err != nil || once != want {
		t.Errorf("%v: %q", err, once)
	}
	if twice, err := update(once, text, "here\n"); err != nil || twice != once {
		t.Errorf("%v: the second time it is %q", err, twice)
	}
	for _, bad := range []string{"", beginMark, endMark + beginMark} {
		if _, err := update(bad, text, "here"); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestManyTable(t *testing.T) {
	line := func(late, underruns string) string {
		return `{"all":300,"late_p99_seconds":` + late + `,"underruns":` + underruns + `,"send_cpu_seconds_per_message":0.000061,` +
			`"receive_cpu_seconds_per_message":0.0000594,"send_bytes_per_stream":240400}
`
	}
	got, err := manyTable(line("0.004", "0") + line("0.002", "3") + line("0.011", "0"))
	want := "| 300 | 0.00 ms | 4.00 ms (2.00 to 11.00) | 0.00 ms | 0 (0 to 3) | 0 | 0.00 | 61 µs | 0.00 | 59 µs | 240 |\n"
	if err != nil || !strings.Contains(got, "\n"+want+"\nThe medians of 3 rounds,") {
		t.Errorf("%v\n%s", err, got)
	}
	for _, bad := range []string{"streams", "{}"} {
		if _, err := manyTable(bad + "\n"); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestRoundsAreMerged(t *testing.T) {
	round := func(runs, drift, late, cpu string) string {
		return "### A\n\n| input | runs | drift | late | CPU |\n| --- | ---: | ---: | ---: | ---: |\n| WAV 24 kHz | " + runs +
			" | -0.010 ms | 0.5 ms | 7 % |\n\n| input | runs | drift | late | CPU |\n| --- | ---: | ---: | ---: | ---: |\n" +
			"| one | " + runs + " | " + drift + " | " + late + " | " + cpu + " |\n\n"
	}
	text := round("10", "-0.010 ms", "9.5 ms", "7 %") + "### B\n\none round\n\n" +
		round("10", "0.002 ms", "10.5 ms", "16 %") + round("10", "-0.020 ms", "2.0 ms", "16 %")
	merged, err := mergeRounds(sections(text))
	want := sections(round("10", "-0.010 ms (-0.020 to 0.002)", "9.5 ms (2.0 to 10.5)", "16 % (7 to 16)") +
		"The medians of 3 rounds, with the least and the greatest.\n\n### B\n\none round\n")
	if err != nil || !slices.Equal(merged, want) {
		t.Errorf("%v, got\n%q\nwant\n%q", err, merged, want)
	}
	first := round("10", "0.002 ms", "9.5 ms", "7 %")
	for name, bad := range map[string]string{
		"another unit":     round("10", "0.002 s", "9.5 ms", "7 %"),
		"other decimals":   round("10", "0.02 ms", "9.5 ms", "7 %"),
		"no figure":        round("10", "0.002 ms", "late", "7 %"),
		"a row is missing": strings.TrimSuffix(first, "| one | 10 | 0.002 ms | 9.5 ms | 7 % |\n\n"),
		"a row more":       strings.TrimSpace(first) + "\n| two | 10 | 0.002 ms | 9.5 ms | 7 % |\n",
	} {
		if got, err := mergeRounds(sections(first + "\n" + bad)); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestMovedFigures(t *testing.T) {
	table := func(a, b, c string) string {
		return "some machine.\n\n| stage | case | time | ratio |\n| --- | --- | ---: | ---: |\n| one | 5ms | " + a + " | " +
			b + " |\n|  | y | " + c + " | 1.00 |\n\nThe end.\n"
	}
	before := table("900 ns", "0.50 (0.40 to 0.60)", "2.00 ms")
	same := table("1.1 µs", "0.60 (0.60 to 0.99)", "1.60 ms")
	if got := markMoved(before, same); got != same {
		t.Errorf("nothing has moved by a third, but\n%s", got)
	}
	got := markMoved(before, table("1.3 µs", "0.30 (0.30 to 0.99)", "1.00 ms"))
	want := table("1.3 µs, was 900 ns", "0.30 (0.30 to 0.99), was 0.50", "1.00 ms, was 2.00 ms")
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	want = table("1.8 µs, was 1.3 µs", "0.30", "1.00 ms")
	if again := markMoved(got, table("1.8 µs", "0.30", "1.00 ms")); again != want {
		t.Errorf("the next time it is\n%s", again)
	}
	if got := markMoved("| figure | a |\n| --- | --- |\n| one | 1 s |\n", before); got != before {
		t.Errorf("another table was compared:\n%s", got)
	}
}

func TestVersion(t *testing.T) {
	for output, want := range map[string]string{
		"ffmpeg version 5.1.9-0+deb12u1 Copyright (c) 2000-2026 the FFmpeg developers\nbuilt": "5.1.9-0+deb12u1",
		"sox:      SoX v14.4.2\n":                          "14.4.2",
		"LAME 64bits version 3.100 (http://lame.sf.net)\n": "3.100",
		"base64 (GNU coreutils) 9.1\n":                     "9.1",
		"Python 3.11.7\n":                                  "3.11.7",
		"0.1.3\n":                                          "0.1.3",
		"no digits here":                                   "of unknown version",
	} {
		if got := version(output); got != want {
			t.Errorf("%q: %s, want %s", output, got, want)
		}
	}
}
