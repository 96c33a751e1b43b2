package acceptance

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc/daily/dailytest"
	"echocast/tavus/tavustest"
)

// canary is an API key that must not appear anywhere.
const canary = "canary-0123456789abcdef"

// account is a stand-in for the service. Its conversations take place in our room.
type account struct {
	*tavustest.Server
	room      *dailytest.Room
	arguments []string
}

func newAccount(t *testing.T, options dailytest.Options) *account {
	needBrowser(t)
	awaitBrowser(t)
	room, err := dailytest.NewRoom(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(room.Close)
	service := &tavustest.Server{Key: canary, RoomURL: room.URL()}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	library, err := filepath.Abs(dailyJS)
	if err != nil {
		t.Fatal(err)
	}
	return &account{service, room, []string{"--pal", "p123", "--face", "f456", "--via", "daily", "--base-url",
		server.URL, "--daily-js", library, "--daily-call-machine", room.CallMachine()}}
}

// A conversation is created, used, and always ended.
func TestCreatedConversation(t *testing.T) {
	t.Parallel()
	broken := filepath.Join(t.TempDir(), "broken.mp3")
	if err := os.WriteFile(broken, bytes.Repeat([]byte("no audio"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	why := errors.New("enough")
	for name, c := range map[string]struct {
		refuse *dailytest.Refusal
		stop   bool
		die    int
		code   int
	}{
		"and spoken in":             {},
		"and interrupted":           {stop: true, code: 1},
		"whose replica is lost":     {die: 20, code: 6},
		"whose room lets nobody in": {refuse: &dailytest.Refusal{Type: "no-room", Message: "there is none"}, code: 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, dailytest.Options{Refuse: c.refuse})
			ctx, cancel := context.WithCancelCause(testwait.Context(t))
			defer cancel(nil)
			options := &replica.Options{Faults: replica.Faults{DieAfter: c.die}, OnEvent: func(e replica.Event) {
				if e.Kind == replica.EventStarted && c.stop {
					cancel(why)
				}
			}}
			participant := a.room.Enter("Ann", "tavus-replica-1")
			options.Die = participant.Leave
			s := enter(t, options, a.room, participant, a.arguments...)
			tracing := filepath.Join(t.TempDir(), "trace.ndjson")
			o := send(ctx, t, s, nil, "--trace", tracing, speech)
			report := s.end()
			if o.code != c.code {
				t.Error(o)
			}
			if all, open := a.Conversations(), a.Open(); len(all) != 1 || len(open) != 0 {
				t.Errorf("%d conversations were created, %d are open", len(all), len(open))
			} else if len(report.Utterances) > 0 && !strings.Contains(o.stderr, all[0].ID) {
				t.Errorf("the conversation is not named: %s", o.stderr)
			}
			for _, complaint := range a.Complaints() {
				t.Errorf("the service complains: %s", complaint)
			}
			recorded, err := os.ReadFile(tracing)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(o.stderr+string(recorded), canary) {
				t.Error("the key is in what was said or recorded")
			}
		})
	}
	t.Run("is not created for an input that is none", func(t *testing.T) {
		t.Parallel()
		a := newAccount(t, dailytest.Options{})
		o := send(testwait.Context(t), t, &stage{arguments: a.arguments}, nil, broken)
		if o.code != 3 || len(a.Conversations()) != 0 {
			t.Errorf("%v, %d conversations", o, len(a.Conversations()))
		}
	})
}
