package cli

import (
	"bytes"
	"cmp"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"echocast/echo"
	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/tavus/tavustest"
)

// restOutcome is how send ends over REST if the service, or the replica
// behind it, misbehaves.
type restOutcome struct {
	fault     string          // in the table
	service   tavustest.Fault // of the second message and those after it
	replica   string          // a fault of the replica, as --fault takes it
	events    bool            // the replica's events come by webhooks
	arguments string
	seconds   float64 // of audio; 0: 1.5

	code      int
	outcome   echo.Outcome // of the last receipt
	by        string       // empty: it depends on whether the webhook came soon enough
	uncertain bool         // the receipt names samples that may have been delivered
	stderr    string       // of the last line
	because   string       // in the table, after the outcome
}

// reported is how many seconds of speech are sure to be reported by webhook. echocast waits for the
// event that it began until a second after its end, which on a busy machine is too short for 1.5 s.
const reported = 6

var restOutcomes = []restOutcome{
	{fault: "no answer within 10 s", service: tavustest.Fault{Delay: 15 * time.Second, Status: 200, Times: 1, After: true},
		code: exitLost, outcome: echo.Failed, by: echo.ByClock, uncertain: true, stderr: "may have been delivered",
		because: "nobody knows whether the chunk arrived, and the replica is interrupted"},
	{fault: "none", outcome: echo.Sent, by: echo.ByClock, because: "after its end by the clock"},
	{fault: "none", events: true, seconds: reported, outcome: echo.Finished, by: echo.ByEvent},
	{fault: "502 once", service: tavustest.Fault{Status: 502, Times: 1}, outcome: echo.Sent, by: echo.ByClock,
		because: "the same chunk is sent again"},
	{fault: "502 always", service: tavustest.Fault{Status: 502}, code: exitLost, outcome: echo.Failed, by: echo.ByClock,
		stderr: "was not delivered", because: "after five times"},
	{fault: "429 once, `Retry-After: 1`", service: tavustest.Fault{Status: 429, Times: 1,
		Header: http.Header{"Retry-After": {"1"}}}, outcome: echo.Sent, by: echo.ByClock,
		because: "the same chunk is sent again"},
	{fault: "429 always", service: tavustest.Fault{Status: 429}, code: exitLost, outcome: echo.Failed, by: echo.ByClock,
		stderr: "was not delivered", because: "after four times"},
	{fault: "504", service: tavustest.Fault{Status: 504, Times: 1, After: true}, code: exitLost, outcome: echo.Failed,
		by: echo.ByClock, uncertain: true, stderr: "may have been delivered", because: "as without an answer"},
	{fault: "504", service: tavustest.Fault{Status: 504, Times: 1, After: true}, arguments: "--on-loss resume",
		outcome: echo.Sent, by: echo.ByClock, because: "a part of it for the second time"},
	{fault: "500", service: tavustest.Fault{Status: 500, Times: 1}, code: exitLost, outcome: echo.Failed,
		by: echo.ByClock, uncertain: true, stderr: "may have been delivered", because: "as without an answer"},
	{fault: "the connection breaks", service: tavustest.Fault{Reset: true, Times: 1}, code: exitLost, outcome: echo.Failed,
		by: echo.ByClock, uncertain: true, stderr: "may have been delivered", because: "as without an answer"},
	{fault: "404", service: tavustest.Fault{Status: 404, Body: `{"error":"The room is no longer available."}`},
		code: exitRefused, outcome: echo.Interrupted, by: echo.ByClock, stderr: "The room is no longer available.",
		because: "stopped before its end, with the service's own words"},
	{fault: "`drop-events=all`", replica: "drop-events=all", events: true, outcome: echo.Sent, by: echo.ByClock,
		because: "as without `--webhook`"},
	{fault: "`drop-events=stopped`", replica: "drop-events=stopped", events: true, outcome: echo.Sent, by: echo.ByClock,
		because: "as without `--webhook`"},
	{fault: "`duplicate`", replica: "duplicate", events: true, seconds: reported, outcome: echo.Finished,
		by: echo.ByEvent},
	{fault: "`reorder`", replica: "reorder", events: true, seconds: reported, outcome: echo.Finished,
		by: echo.ByEvent},
	{fault: "`interrupt-after=500ms`", replica: "interrupt-after=500ms", events: true, seconds: 10, code: exitInterrupted,
		outcome: echo.Interrupted, by: echo.ByEvent, stderr: "interrupted by somebody else"},
	{fault: "`user-at=500ms`", replica: "user-at=500ms", events: true, arguments: "--barge-in", seconds: 10,
		code: exitInterrupted, outcome: echo.Interrupted, stderr: "interrupted by the user's speech"},
}

// Each answer of the service has its outcome over REST.
func TestOutcomesOverREST(t *testing.T) {
	t.Parallel()
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("any"), 0o600); err != nil {
		t.Fatal(err)
	}
	runs := make([]*restRun, len(restOutcomes))
	var all sync.WaitGroup
	for i := range restOutcomes {
		all.Go(func() { runs[i] = restOutcomes[i].run(t, key) })
	}
	all.Wait()
	http.DefaultClient.CloseIdleConnections()
	var rows []string
	for i, c := range restOutcomes {
		given := c.fault
		if c.events {
			given += ", with `--webhook`"
		}
		t.Run(strings.TrimSpace(given+" "+c.arguments), func(t *testing.T) { c.check(t, runs[i]) })
		rows = append(rows, outcomeRow(given, c.arguments, c.outcome, c.because, cmp.Or(c.by, "event or clock"), c.code))
	}
	checkTable(t, "over REST", rows)
}

// restRun is the output of send, and what the replica saw.
type restRun struct {
	code           int
	stdout, stderr bytes.Buffer
	report         replica.Report
}

func (c *restOutcome) length() float64 { return cmp.Or(c.seconds, 1.5) }

func (c *restOutcome) run(t *testing.T, keyFile string) *restRun {
	r := &restRun{}
	options := &replica.Options{}
	if err := options.SetFaults(strings.FieldsFunc(c.replica, func(r rune) bool { return r == ',' })); err != nil {
		t.Error(err)
		return r
	}
	server := &tavustest.Server{Key: "any", AppMessages: tavustest.AppMessages{Replica: options}}
	listener := httptest.NewServer(server)
	defer listener.Close()
	defer listener.CloseClientConnections() // one may still wait for its answer
	arguments := []string{"echocast", "send", "--api-key-file", keyFile, "--base-url", listener.URL, "--json",
		"-f", "s16le", "--rate", "24000", "--channels", "1"}
	if c.events {
		address := testenv.FreeAddress(t)
		arguments = append(arguments, "--pal", "p123", "--webhook", address+"/callbacks", "--webhook-url",
			"http://"+address+"/callbacks")
	} else {
		id := server.Add("somebody's")
		c.service.Path, c.service.Skip = "/v2/conversations/"+id+"/send", 1
		server.Fail(c.service)
		arguments = append(arguments, "--conversation", id)
	}
	arguments = append(arguments, strings.Fields(c.arguments)...)
	in := bytes.NewReader(make([]byte, int(c.length()*48000)))
	r.code = Run(testwait.Context(t), append(arguments, "-"), Streams{In: in, Out: &r.stdout, Err: &r.stderr})
	for _, r.report = range server.Close() {
	}
	for _, complaint := range server.Complaints() {
		t.Errorf("%s: the service complains: %s", c.fault, complaint)
	}
	return r
}

func (c *restOutcome) check(t *testing.T, r *restRun) {
	lines := strings.Split(strings.TrimSpace(r.stderr.String()), "\n")
	if r.code != c.code || !strings.Contains(lines[len(lines)-1], c.stderr) {
		t.Errorf("code %d, want %d with %q: %s", r.code, c.code, c.stderr, &r.stderr)
	}
	receipts := receiptsOf(t, r.stdout.String())
	if len(receipts) == 0 {
		t.Fatalf("no receipt: %s", &r.stderr)
	}
	last := receipts[len(receipts)-1]
	isUncertain := last.UncertainSamples > 0 // an interrupt may come while a request is under way
	if last.Outcome != c.outcome || c.by != "" && last.SpokenBy != c.by ||
		isUncertain != c.uncertain && c.code != exitInterrupted {
		t.Errorf("%s, spoken by %s, %d samples uncertain: want %s, by %s", last.Outcome, last.SpokenBy,
			last.UncertainSamples, c.outcome, c.by)
	}
	var least, most int64
	for _, receipt := range receipts {
		least += receipt.Samples
		most += receipt.Samples + receipt.UncertainSamples
	}
	if strings.Contains(c.replica, "interrupt-after") {
		least = 0 // the replica drops what it gets until the sender knows
	}
	if came := r.report.Samples; came < least || came > most {
		t.Errorf("%d samples came, and the receipts say %d to %d", came, least, most)
	}
	if whole := c.code == 0 || c.code == exitUnverified; whole != r.report.Utterances[len(r.report.Utterances)-1].Done {
		t.Errorf("the replica saw %+v", r.report.Utterances)
	}
	if c.uncertain && len(r.report.Interrupts) == 0 {
		t.Error("what may have been delivered was not interrupted")
	}
}
