package serve

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

// patient are options of connections that no busy machine breaks: a close that takes longer than
// CloseTimeout is a loss for the other end.
func patient() *rtc.Options {
	return &rtc.Options{ConnectTimeout: testwait.Limit, CloseTimeout: testwait.Limit, PingTimeout: testwait.Limit}
}

// start runs a server until it ends or the test stops it, and returns its address.
func start(t *testing.T, options *Options) (url string, stop func(), ended <-chan error) {
	t.Helper()
	listener, err := rtc.Listen("127.0.0.1:0", patient())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testwait.Context(t))
	result := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { result <- Run(ctx, listener, options) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = listener.Close()
	})
	return listener.URL(), cancel, result
}

// guest is somebody in the room.
type guest struct {
	t    *testing.T
	conn interface {
		Send(ctx context.Context, msg []byte) error
		Receive(ctx context.Context) ([]byte, error)
		Close() error
	}
}

func dial(t *testing.T, url string) *guest {
	t.Helper()
	conn, err := rtc.Dial(testwait.Context(t), url, patient())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	g := &guest{t, conn}
	g.await("system.pal_joined")
	return g
}

// event is what the tests need of one.
type event struct {
	Type       string `json:"event_type"`
	Properties struct {
		Interrupted bool   `json:"interrupted"`
		Role        string `json:"role"`
	} `json:"properties"`
}

// await reads until an event of a type.
func (g *guest) await(name string) event {
	g.t.Helper()
	for {
		msg, err := g.conn.Receive(testwait.Context(g.t))
		if err != nil {
			g.t.Fatalf("waiting for %s: %v", name, err)
		}
		var e event
		if err := json.Unmarshal(msg, &e); err != nil {
			g.t.Fatal(err)
		}
		if e.Type == name && e.Properties.Role != "replica" {
			return e
		}
	}
}

// awaitUser reads until a user speaks.
func (g *guest) awaitUser() {
	g.t.Helper()
	for g.await("conversation.started_speaking").Properties.Role != "user" {
	}
}

func (g *guest) send(msg string) {
	g.t.Helper()
	if err := g.conn.Send(testwait.Context(g.t), []byte(msg)); err != nil {
		g.t.Fatal(err)
	}
}

// say sends a whole utterance of silence: 50 ms for each message.
func (g *guest) say(id string, messages int) {
	g.t.Helper()
	audio := base64.StdEncoding.EncodeToString(make([]byte, 2400))
	for n := range messages {
		g.send(fmt.Sprintf(`{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c1",`+
			`"properties":{"modality":"audio","audio":%q,"sample_rate":24000,"inference_id":%q,"done":%v}}`, audio,
			id, n == messages-1))
	}
}

const interrupt = `{"message_type":"conversation","event_type":"conversation.interrupt","conversation_id":"c1"}`

func TestOneRoomForEverybody(t *testing.T) {
	reports := make(chan replica.Report, 9)
	record := filepath.Join(t.TempDir(), "heard.wav")
	url, stop,
		ended := start(t, &Options{Record: record, Observer: Observer{Report: func(r replica.Report) { reports <- r }}})
	sender, other := dial(t, url), dial(t, url)
	sender.say("long", 400) // 20 s, however late the interrupt comes
	sender.await("conversation.started_speaking")
	other.await("conversation.started_speaking")
	other.send(interrupt)
	for who, g := range map[string]*guest{"the sender": sender, "the other": other} {
		if !g.await("conversation.stopped_speaking").Properties.Interrupted {
			t.Errorf("%s does not learn of the interrupt", who)
		}
	}
	_ = sender.conn.Close()
	_ = other.conn.Close()
	report := testwait.Receive(t, reports)
	if report.End != replica.EndPeerGone || len(report.Utterances) != 1 ||
		report.Utterances[0].Participant != "connection 1" || report.ComplaintCount != 0 {
		t.Errorf("the report is %+v", report)
	}

	// Who comes when everybody has left begins another session.
	again := dial(t, url)
	again.say("short", 3)
	again.await("conversation.stopped_speaking")
	_ = again.conn.Close()
	if report := testwait.Receive(t, reports); len(report.Utterances) != 1 || report.Utterances[0].ID != "short" {
		t.Errorf("the second report is %+v", report)
	}
	stop()
	if err := testwait.Receive(t, ended); !errors.Is(err, context.Canceled) {
		t.Errorf("the server ended with %v", err)
	}
	for _, name := range []string{record, filepath.Join(filepath.Dir(record), "heard-2.wav")} {
		info, err := os.Stat(name)
		if err != nil || info.Size() <= 44 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestOnce(t *testing.T) {
	url, _, ended := start(t, &Options{Once: true})
	a, b := dial(t, url), dial(t, url)
	_ = a.conn.Close()
	b.say("short", 3) // the session continues while somebody is there
	b.await("conversation.stopped_speaking")
	_ = b.conn.Close()
	if err := testwait.Receive(t, ended); err != nil {
		t.Error(err)
	}
}

// If a recording fails, Run returns the error, and playback continues.
func TestRecordingFails(t *testing.T) {
	url, _, ended := start(t, &Options{Record: filepath.Join(t.TempDir(), "none", "heard.wav"), Once: true})
	a := dial(t, url)
	a.say("short", 3)
	a.await("conversation.stopped_speaking")
	_ = a.conn.Close()
	if err := testwait.Receive(t, ended); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the server ended with %v", err)
	}
}
