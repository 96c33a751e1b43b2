package cli

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"testing"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
)

// outcomeOf is how send ends if the replica misbehaves. The table in
// docs/talk.md is written from it.
type outcomeOf struct {
	fault     string // as --fault takes it
	arguments string
	seconds   float64 // of audio; 0: 1.5. If it is cut short, more than a busy machine has sent by then
	// endless marks a replica that does not notice that its peer leaves, or that nobody joins.
	endless bool

	code     int
	outcome  echo.Outcome  // empty: there is no receipt
	delivery echo.Delivery // empty: it depends on when the end came
	by       string        // how it is known how much was spoken
	spoken   float64       // where somebody stopped it; 0: all of it, or nobody knows
	stderr   string        // of the last line
	after    float64       // seconds that the first audio takes at least
	because  string        // in the table, after the outcome
}

var outcomes = []outcomeOf{
	{fault: "stall-after=5", arguments: "--pace burst", seconds: 60, endless: true, code: exitLost, outcome: echo.Failed,
		delivery: echo.Accepted, by: echo.ByClock, stderr: "the connection was lost: the peer has accepted no data for 10s",
		because: "the input is more than the transport holds; 10 s after it accepted data last"},
	{fault: "join-delay=500ms", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent,
		because: "echocast sends nothing before the replica has joined"},
	{fault: "join-delay=1m", arguments: "--ready-timeout 8s", endless: true, code: exitNotReady,
		stderr: "the replica did not join in time (8s)"},
	{fault: "mute", arguments: "--ready-timeout 8s", endless: true, code: exitNotReady,
		stderr: "the replica did not join in time (8s)"},
	{fault: "drop-events=all", code: exitUnverified, outcome: echo.Unverified, delivery: echo.Acknowledged,
		by: echo.ByClock, stderr: "sent, but not confirmed as heard", because: "5 s after its end"},
	{fault: "drop-events=all", arguments: "--wait sent", outcome: echo.Sent, by: echo.ByClock},
	{fault: "drop-events=started", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent},
	{fault: "drop-events=stopped", code: exitUnverified, outcome: echo.Unverified, delivery: echo.Acknowledged,
		by: echo.ByClock, stderr: "sent, but not confirmed as heard"},
	{fault: "drop-every=2", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent,
		because: "each event is sent twice, and one of the two is enough"},
	{fault: "duplicate", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent},
	{fault: "reorder", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent},
	{fault: "reorder=2s", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent},
	{fault: "delay=300ms", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent, after: 0.3,
		because: "300 ms later"},
	{fault: "jitter=200ms", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent},
	{fault: "ids=own", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent,
		because: "events are matched by order"},
	{fault: "ids=own,reorder", code: exitUnverified, outcome: echo.Unverified, delivery: echo.Acknowledged,
		by: echo.ByClock, stderr: "sent, but not confirmed as heard", because: "events match neither by id nor by order"},
	{fault: "ids=raw,legacy", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent},
	{fault: "stall-after=5,stall-for=700ms", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent,
		because: "with an underrun"},
	{fault: "stall-after=5", endless: true, code: exitUnverified, outcome: echo.Unverified, delivery: echo.Acknowledged,
		by: echo.ByClock, stderr: "sent, but not confirmed as heard",
		because: "the transport acknowledged the messages, and nobody read them"},
	{fault: "leave-after=10", seconds: 10, code: exitLost, outcome: echo.Failed, by: echo.ByClock,
		stderr: "the connection was lost: the room was shut down"},
	{fault: "die-after=10", seconds: 10, code: exitLost, outcome: echo.Failed, by: echo.ByClock,
		stderr: "the connection was lost: "},
	{fault: "interrupt-after=500ms", seconds: 10, code: exitInterrupted, outcome: echo.Interrupted, delivery: echo.Heard,
		by: echo.ByEvent, spoken: 0.5, stderr: "interrupted by somebody else"},
	{fault: "interrupt-after=500ms,ids=own", seconds: 10, code: exitInterrupted, outcome: echo.Interrupted,
		delivery: echo.Heard, by: echo.ByEvent, spoken: 0.5, stderr: "interrupted by somebody else"},
	{fault: "interrupt-after=500ms,drop-events=all", code: exitUnverified, outcome: echo.Unverified,
		delivery: echo.Acknowledged, by: echo.ByClock, stderr: "sent, but not confirmed as heard",
		because: "no event reports the interrupt"},
	{fault: "user-at=500ms", outcome: echo.Finished, delivery: echo.Heard, by: echo.ByEvent},
	{fault: "user-at=500ms", arguments: "--barge-in", seconds: 10, code: exitInterrupted, outcome: echo.Interrupted,
		delivery: echo.Heard, by: echo.ByEvent, spoken: 0.5, stderr: "interrupted by the user's speech"},
}

// Each fault of a replica has its outcome: one receipt that says what is known and how, an
// exit code, and a line that says why.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	runs := make([]*faultyRun, len(outcomes))
	var all sync.WaitGroup
	few := make(chan struct{}, 8)
	for i := range outcomes {
		few <- struct{}{} // most of the time is spent waiting, but not of the handshakes
		all.Go(func() {
			defer func() { <-few }()
			runs[i] = outcomes[i].run(t)
		})
	}
	all.Wait()
	var rows []string
	for i, c := range outcomes {
		t.Run(strings.TrimSpace(c.fault+" "+c.arguments), func(t *testing.T) { c.check(t, runs[i]) })
		rows = append(rows, outcomeRow("`"+c.fault+"`", c.arguments, c.outcome, c.because, c.by, c.code))
	}
	checkTable(t, "in a room", rows)
}

// outcomeRow is a row of a table of outcomes, as Markdown.
func outcomeRow(fault, arguments string, outcome echo.Outcome, because, by string, code int) string {
	if arguments != "" {
		fault += ", with `" + arguments + "`"
	}
	what := cmp.Or(string(outcome), "nothing is sent, and there is no receipt")
	if because != "" {
		what += ": " + because
	}
	return fmt.Sprintf("| %s | %s | %s | %d |\n", fault, what, by, code)
}

// checkTable compares a table of docs/talk.md with the rows that the test has just
// proved. With -update it is rewritten, unless a row failed.
func checkTable(t *testing.T, name string, rows []string) {
	t.Helper()
	const file = "../docs/talk.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- outcomes "+name+": written by go test ./cli -run TestOutcomes -update -->\n",
		"<!-- end of outcomes "+name+" -->\n"
	before, rest, began := strings.Cut(string(text), begin)
	got, after, ended := strings.Cut(rest, end)
	if !began || !ended {
		t.Fatalf("%s has no lines %s%s", file, begin, end)
	}
	want := "\n| fault | outcome | spoken, by | exit code |\n| --- | --- | --- | --- |\n" + strings.Join(rows, "") + "\n"
	switch {
	case got == want:
	case *updateHelp && !t.Failed():
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the outcomes %s in %s are not those of the test; go test ./cli -run TestOutcomes -update writes them",
			name, file)
	}
}

// faultyRun is the output of send to such a replica.
type faultyRun struct {
	code           int
	stdout, stderr bytes.Buffer
	report         replica.Report
}

// length returns how many seconds of audio are sent.
func (c *outcomeOf) length() float64 { return cmp.Or(c.seconds, 1.5) }

func (c *outcomeOf) run(t *testing.T) *faultyRun {
	r := &faultyRun{}
	var options replica.Options
	if err := options.SetFaults(strings.Split(c.fault, ",")); err != nil {
		t.Error(err)
		return r
	}
	ctx, end := context.WithCancel(testwait.Context(t))
	defer end()
	url, ended := scripted(ctx, t, options)
	arguments := append([]string{"echocast", "send", "--to", url, "--json", "-f", "s16le", "--rate", "24000",
		"--channels", "1"}, strings.Fields(c.arguments)...)
	in := bytes.NewReader(make([]byte, int(c.length()*48000)))
	r.code = Run(testwait.Context(t), append(arguments, "-"), Streams{In: in, Out: &r.stdout, Err: &r.stderr})
	if c.endless {
		end()
	}
	r.report = ended()
	return r
}

// excuses reports whether the replica may complain of something that the sender could not
// know: the replica had not read that far, had not reported, or on a busy machine not yet,
// that another participant had interrupted it.
func (c *outcomeOf) excuses(kind replica.Kind) bool {
	if strings.Contains(c.fault, "interrupt-after") && kind == replica.KindAfterInterrupt {
		return true
	}
	return c.endless && kind == replica.KindNeverDone
}

func (c *outcomeOf) check(t *testing.T, r *faultyRun) {
	lines := strings.Split(strings.TrimSpace(r.stderr.String()), "\n")
	if r.code != c.code || !strings.Contains(lines[len(lines)-1], c.stderr) {
		t.Errorf("code %d, want %d with %q: %s", r.code, c.code, c.stderr, &r.stderr)
	}
	if strings.Contains(r.stderr.String(), "reconnect") {
		t.Errorf("a run that ends promises to continue: %s", &r.stderr)
	}
	for _, complaint := range r.report.Complaints {
		if !c.excuses(complaint.Kind) {
			t.Errorf("the replica complains: %s", complaint.Text)
		}
	}
	receipts := receiptsOf(t, r.stdout.String())
	if c.outcome == "" {
		if len(receipts) > 0 || r.report.Messages > 0 {
			t.Errorf("%+v; the replica got %d messages", receipts, r.report.Messages)
		}
		return
	}
	if len(receipts) != 1 || len(r.report.Utterances) != 1 {
		t.Fatalf("%+v; the replica got %+v", receipts, r.report.Utterances)
	}
	c.compare(t, receipts[0], r.report.Utterances[0])
}

// compare compares a receipt with the table, and with what the replica saw.
func (c *outcomeOf) compare(t *testing.T, receipt echo.Receipt, saw replica.Utterance) {
	t.Helper()
	if receipt.Outcome != c.outcome || c.delivery != "" && receipt.Delivery != c.delivery || receipt.SpokenBy != c.by {
		t.Errorf("%s, %s, spoken by %s: want %s, %s, by %s", receipt.Outcome, receipt.Delivery, receipt.SpokenBy,
			c.outcome, c.delivery, c.by)
	}
	whole := receipt.Outcome == echo.Finished || receipt.Outcome == echo.Sent || receipt.Outcome == echo.Unverified
	if sent := int64(c.length() * 24000); whole != (receipt.Samples == sent) || c.delivery == echo.Acknowledged &&
		receipt.AcknowledgedSamples != sent {
		t.Errorf("%d samples were sent and %d acknowledged, of %d", receipt.Samples, receipt.AcknowledgedSamples, sent)
	}
	if saw.Done && !whole {
		t.Error("an utterance that was cut short was done")
	}
	if receipt.AcknowledgedSamples > receipt.Samples || saw.Samples > receipt.Samples {
		t.Errorf("%d samples were sent, %d acknowledged, %d came", receipt.Samples, receipt.AcknowledgedSamples, saw.Samples)
	}
	if receipt.Outcome == echo.Finished && !saw.Done {
		t.Error("the replica did not get the end of what is called finished")
	}
	if receipt.SpokenBy == echo.ByEvent && math.Abs(receipt.SpokenSeconds-saw.PlayedSeconds) > 1e-3 {
		t.Errorf("%v s were spoken, and the replica played %v", receipt.SpokenSeconds, saw.PlayedSeconds)
	}
	if c.spoken > 0 && (receipt.SpokenSeconds < c.spoken || !saw.Interrupted) {
		t.Errorf("interrupted at %v s, want %v s or later", receipt.SpokenSeconds, c.spoken)
	}
	if receipt.FirstAudioSeconds < c.after && receipt.FirstAudioSeconds >= 0 {
		t.Errorf("the first audio took %v s, want %v", receipt.FirstAudioSeconds, c.after)
	}
}

// Every fault has a row in the table, except those of chance and parts of others.
func TestOutcomesAreComplete(t *testing.T) {
	aside := "lose user-for user-says seed" // of chance, or parts of another
	for _, f := range replica.AllFaults() {
		if !strings.Contains(aside, f.Name) && !strings.Contains(fmt.Sprint(outcomes), f.Name) {
			t.Errorf("no table says how send ends with the fault %s", f.Name)
		}
	}
}
