package daily

import (
	"cmp"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"echocast/internal/testwait"
	"echocast/rtc/daily/dailytest"
)

func TestMain(m *testing.M) {
	if temporary := os.Getenv(profileEnv); temporary != "" {
		keepProfile(temporary)
		return
	}
	testwait.RunAndFindLeaks(m)
}

// localDailyJS is the real daily-js; scripts/browser.sh puts it there.
const localDailyJS = "dailytest/node_modules/@daily-co/daily-js/dist/daily.js"

// needBrowser skips a test if there is no Chromium or no daily-js, or fails it if
// ECHOCAST_REQUIRE_BROWSER is set.
func needBrowser(t testing.TB) {
	t.Helper()
	_, err := os.Stat(localDailyJS)
	if err == nil {
		_, err = FindBrowser("")
	}
	switch {
	case err == nil:
	case os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "":
		t.Fatalf("%v (make browser installs what is missing)", err)
	default:
		t.Skipf("NOT TESTED: %v (make browser installs what is missing)", err)
	}
}

// eachBrowser runs a test in the browser that FindBrowser prefers, and, if that is a shell
// without windows, also in a browser that people have.
func eachBrowser(t *testing.T, test func(t *testing.T, path string)) {
	needBrowser(t)
	preferred, err := FindBrowser("")
	if err != nil {
		t.Fatal(err)
	}
	paths := []string{preferred}
	for _, name := range []string{"chromium", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && path != preferred {
			paths = append(paths, path)
			break
		}
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) { test(t, path) })
	}
}

// newRoom opens a room, and at the end of the test sees that nothing in it was
// unknown and that nobody is left.
func newRoom(t testing.TB, o dailytest.Options) *dailytest.Room {
	t.Helper()
	needBrowser(t)
	room, err := dailytest.NewRoom(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		room.Close()
		for _, complaint := range room.Complaints() {
			t.Error("complaint:", complaint)
		}
	})
	return room
}

// local are the options that keep everything on this machine.
func local(room *dailytest.Room, o Options) *Options {
	o.DailyJS = localDailyJS
	o.CallMachine = room.CallMachine()
	return patient(o)
}

// patient returns options with the timeouts of tests where o has none.
func patient(o Options) *Options {
	o.JoinTimeout = cmp.Or(o.JoinTimeout, testwait.Limit)
	o.LeaveTimeout = cmp.Or(o.LeaveTimeout, testwait.Limit)
	return &o
}

func mustJoin(t testing.TB, room *dailytest.Room, o Options) *Conn {
	t.Helper()
	conn, err := Join(testwait.Context(t), room.URL(), local(room, o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

type receiver interface {
	Receive(ctx context.Context) ([]byte, error)
}

// expect receives messages that have to be these.
func expect(t testing.TB, conn receiver, want ...string) {
	t.Helper()
	ctx := testwait.Context(t)
	for _, message := range want {
		got, err := conn.Receive(ctx)
		if err != nil {
			t.Fatalf("%v, want %s", err, message)
		}
		if string(got) != message {
			t.Fatalf("got  %s\nwant %s", got, message)
		}
	}
}

// about is the message about one in the room.
func about(event string, p dailytest.Person, role string) string {
	return fmt.Sprintf(`{"message_type":"room","event_type":%q,"properties":{"session_id":%q,"user_id":%q,`+
		`"user_name":%q,"role":%q}}`,
		event, p.SessionID, p.UserID, p.UserName, role)
}

// echoMessage is a message as a sender makes it, some bytes long.
func echoMessage(n, size int) string {
	head := fmt.Sprintf(`{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c1",`+
		`"properties":{"inference_id":"utterance-%d","audio":"`, n)
	tail := `","done":false,"note":"é <&> 漢 \u0001 1.5"}}`
	tail = strings.ReplaceAll(tail, `\u0001`, `\"`)
	return head + strings.Repeat("A", max(0, size-len(head)-len(tail))) + tail
}

func TestMessagesGoBothWaysInOrder(t *testing.T) {
	eachBrowser(t, messagesGoBothWaysInOrder)
}

func messagesGoBothWaysInOrder(t *testing.T, browser string) {
	room := newRoom(t, dailytest.Options{})
	replica := room.Enter("Ann", "tavus-replica-r1")
	conn := mustJoin(t, room, Options{Token: "secret", UserName: "Bob", Chromium: browser})
	expect(t, conn, about(joinedEvent, replica.Person, roleReplica))
	if got := conn.MaxMessage(); got != DefaultMaxMessage {
		t.Errorf("the room takes %d bytes, want %d", got, DefaultMaxMessage)
	}
	if got, want := fmt.Sprint(room.Joins()), fmt.Sprintf("[{%s Bob secret}]", room.URL()); got != want {
		t.Errorf("joined with %s, want %s", got, want)
	}
	const messages = 100
	for i := range messages {
		if err := conn.Send(testwait.Context(t), []byte(echoMessage(i, 3434))); err != nil {
			t.Fatal(err)
		}
		if err := replica.Send(testwait.Context(t), []byte(echoMessage(messages+i, 1000))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range messages {
		expect(t, replica, echoMessage(i, 3434))
		expect(t, conn, echoMessage(messages+i, 1000))
	}
}

func TestIntegrityHash(t *testing.T) {
	needBrowser(t)
	script, err := os.ReadFile(localDailyJS)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha512.Sum384(script)
	if got := "sha384-" + base64.StdEncoding.EncodeToString(hash[:]); got != Integrity {
		t.Errorf("the hash of %s is %s, want %s", localDailyJS, got, Integrity)
	}
	var manifest struct{ Version string }
	text, err := os.ReadFile(filepath.Join(filepath.Dir(localDailyJS), "../package.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &manifest); err != nil || manifest.Version != Version {
		t.Errorf("the package is of version %s, want %s (%v)", manifest.Version, Version, err)
	}
}
