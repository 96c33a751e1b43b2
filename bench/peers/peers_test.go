//go:build linux

package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMeasureSeesAllProcesses(t *testing.T) {
	used, err := measure(t.Context(), "head -c 20000000 /dev/zero | base64 -w 0")
	if err != nil {
		t.Fatal(err)
	}
	if used.cpu <= 0 || used.wall <= 0 || used.peak < 1<<19 {
		t.Errorf("%+v", used)
	}
}

func TestMeasureReportsFailure(t *testing.T) {
	_, err := measure(t.Context(), "{ echo out of paper >&2; exit 3; } | cat")
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "out of paper") {
		t.Errorf("%v", err)
	}
}

// When the context ends, the pipeline does not keep running.
func TestMeasureEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if _, err := measure(ctx, "sleep 1000 | cat"); !errors.Is(err, stopped) {
		t.Errorf("%v", err)
	}
}

func TestMessagesAudio(t *testing.T) {
	message := func(done string) string { return `{"properties":{"audio":"AAAAAA==","done":` + done + "}}\n" }
	for output, want := range map[string]int{
		message("true"):                                      4,
		message("false") + message("false"):                  -1,
		message("false") + message("true"):                   8,
		message("true") + message("true"):                    -1,
		message("false") + message("true") + message("true"): -1,
		"no message\n":                                       -1,
		"":                                                   -1,
	} {
		got, err := messagesAudio([]byte(output))
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d bytes, want %d", output, got, want)
		}
	}
}

func TestRoundKeepsTheBestRun(t *testing.T) {
	log := t.TempDir() + "/log"
	line := func(file string) string { return "echo " + file + " >> " + quote(log) }
	cases := allCases([]input{{name: "a", path: "a", repeats: 1}, {name: "b", path: "b", repeats: 3}},
		[]command{{name: "c", line: line}})
	cases[0].rounds = []usage{{cpu: 1, wall: 2, peak: 1 << 50}}
	if err := runRound(t.Context(), cases, 1); err != nil {
		t.Fatal(err)
	}
	if cases[0].least() != (usage{1, 2, 1 << 50}) || len(cases[1].rounds) != 1 || cases[1].least().wall <= 0 {
		t.Errorf("%+v, %+v", cases[0].rounds, cases[1].rounds)
	}
	if _, err := measure(t.Context(), "test $(wc -l < "+quote(log)+") = 4"); err != nil {
		t.Errorf("not four runs: %v", err)
	}
}

func TestTable(t *testing.T) {
	one, two := input{name: "one"}, input{name: "two"}
	base, ours := command{name: "base"}, command{name: "ours"}
	got := table([]*measured{
		{one, base, []usage{{2 * time.Second, 3 * time.Second, 57e6}, {3 * time.Second, 4 * time.Second, 1e6}}},
		{one, ours, []usage{{time.Second, 1 * time.Second, 9.5e6}, {2 * time.Second, 750 * time.Millisecond, 9e6}}},
		{two, base, []usage{{8 * time.Millisecond, 4 * time.Millisecond, 1e6}}},
	}, 3, 1, usage{wall: time.Millisecond, peak: 5e6})
	for _, want := range []string{
		"| one | base | 2.00 s | 3.00 s | 1.00 | 1.00 | 57.0 MB |\n",
		"|  | ours | 1.00 s | 750.0 ms | 0.50 (0.50 to 0.67) | 0.25 (0.19 to 0.33) | 9.5 MB |\n",
		"| two | base | 8.0 ms | 4.0 ms | 1.00 | 1.00 | 1.0 MB |\n",
		"least of 3 rounds",
		"a peak of 5.0 MB",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, name := range []string{"plain", "two words", "it's", `$HOME "x"`, "*"} {
		if _, err := measure(t.Context(), "test "+quote(name)+" = "+quote(name)+" && test $# = 0"); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}
