//go:build unix

package examples

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc/daily/dailytest"
)

// pythonListener accepts the connection of the stand-in for daily-python.
type pythonListener struct {
	*testRoom
	socket net.Listener
	tasks  sync.WaitGroup
	asked  struct {
		URL, Token, Name string
	}
}

func newPythonListener(t *testing.T, s *testRoom) *pythonListener {
	t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &pythonListener{testRoom: s, socket: socket}
	d.tasks.Go(d.serve)
	t.Cleanup(func() { _ = socket.Close(); d.tasks.Wait() })
	return d
}

// serve lets one client into the room, and carries what it and the room say.
func (d *pythonListener) serve() {
	conn, err := d.socket.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	client := json.NewDecoder(conn)
	if client.Decode(&d.asked) != nil {
		return
	}
	seat := d.Enter(d.asked.Name, "user-1")
	var both sync.WaitGroup
	both.Go(func() { d.forward(conn, seat) })
	for {
		var said struct {
			Data json.RawMessage `json:"data"`
			To   string          `json:"to"`
		}
		if client.Decode(&said) != nil {
			break
		}
		_ = seat.Send(d.t.Context(), said.Data)
	}
	seat.Leave()
	both.Wait()
}

// forward reports the participants and their messages.
func (d *pythonListener) forward(conn net.Conn, seat *dailytest.Participant) {
	out := json.NewEncoder(conn)
	var writing, watching sync.WaitGroup
	defer watching.Wait()
	lock := make(chan struct{}, 1)
	write := func(what any) {
		lock <- struct{}{}
		_ = out.Encode(what)
		<-lock
	}
	replicas := make(chan string, 1)
	watching.Go(func() {
		for here := true; here; {
			people, changed := d.People()
			others := []dailytest.Person{}
			here = false
			for _, p := range people {
				if p.SessionID == seat.SessionID {
					here = true
					continue
				}
				others = append(others, p)
			}
			if !here {
				return
			}
			write(map[string]any{"people": others})
			for _, p := range others {
				select {
				case replicas <- p.SessionID:
				default:
				}
			}
			<-changed
		}
	})
	writing.Wait()
	for {
		message, err := seat.Receive(d.t.Context())
		if err != nil {
			return
		}
		from := <-replicas
		replicas <- from
		write(map[string]any{"data": json.RawMessage(message), "from": from})
	}
}

// python is echo.py, with the stand-in for daily-python.
func python(t *testing.T, d *pythonListener, arguments ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	need(t, where("python3"))
	command := exec.CommandContext(testwait.Context(t), "python3",
		append([]string{"-B", "daily-python/echo.py", d.URL()}, arguments...)...)
	command.Env = append(os.Environ(), "PYTHONPATH=daily-python/testdata", "DAILY_TEST="+d.socket.Addr().String())
	var events, errors bytes.Buffer
	command.Stdout, command.Stderr = &events, &errors
	return command, &events, &errors
}

// lines are what echocast encodes.
func lines(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(testwait.Context(t), echocast,
		append([]string{"encode", "--quiet", "--conversation", "c1"}, arguments...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestPythonSyntax(t *testing.T) {
	need(t, where("python3"))
	out, err := exec.CommandContext(testwait.Context(t), "python3", "-B", "-c",
		"import ast, sys; ast.parse(open(sys.argv[1]).read())", "daily-python/echo.py").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestPythonSendsEncodedMessages(t *testing.T) {
	s := newTestRoom(t, dailytest.Options{}, replica.Options{Legacy: true})
	d := newPythonListener(t, s)
	text := lines(t, speech)
	command, events, complaints := python(t, d, "--token", "secret")
	command.Stdin = strings.NewReader(text)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	people, changed := s.People()
	for len(people) == 0 { // it waits for the replica
		testwait.Receive(t, changed)
		people, changed = s.People()
	}
	if heard, _ := s.messages(); len(heard) > 0 {
		t.Error("it speaks to nobody")
	}
	s.callReplica()
	if err := command.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, complaints)
	}
	if d.asked.URL != s.URL() || d.asked.Token != "secret" || d.asked.Name != "echocast" {
		t.Errorf("it joined with %+v", d.asked)
	}
	s.checkHeard(strings.Split(strings.TrimSuffix(text, "\n"), "\n"))
	for _, event := range []string{"started_speaking", "stopped_speaking", "_joined"} {
		if got := strings.Count(events.String(), event+`"`); got != 1 {
			t.Errorf("%s was printed %d times:\n%s", event, got, events)
		}
	}
}

func TestPythonInterrupts(t *testing.T) {
	s := newTestRoom(t, dailytest.Options{}, replica.Options{})
	d := newPythonListener(t, s)
	s.callReplica()
	first := strings.Join(strings.SplitAfter(lines(t, speech), "\n")[:20], "")
	for name, end := range map[string]func(command *exec.Cmd, stdin *os.File){
		"Ctrl-C": func(command *exec.Cmd, _ *os.File) { _ = command.Process.Signal(syscall.SIGINT) },
	} {
		t.Run(name, func(t *testing.T) {
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			defer write.Close()
			command, _, complaints := python(t, d)
			command.Stdin = read
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := write.WriteString(first); err != nil {
				t.Fatal(err)
			}
			s.await(testwait.Context(t), 20)
			end(command, write)
			_ = command.Wait()
			if code := command.ProcessState.ExitCode(); code != 130 {
				t.Errorf("it ends with %d: %s", code, complaints)
			}
			s.checkInterrupted()
		})
	}
}

func TestPythonWithBrokenInput(t *testing.T) {
	all := strings.SplitAfter(lines(t, speech), "\n")
	for _, c := range []struct{ name, text, says string }{
		{"the end is missing", strings.Join(all[:5], ""), "the speech broke off"},
		{"a line is no message", strings.Join(all[:5], "") + "{\n", "Expecting"},
		{"a line is too long", strings.Join(all[:5], "") + `{"event_type":"` + strings.Repeat("x", 5000) +
			`"}`, "over the limit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newTestRoom(t, dailytest.Options{}, replica.Options{})
			d := newPythonListener(t, s)
			s.callReplica()
			command, _, complaints := python(t, d)
			command.Stdin = strings.NewReader(c.text)
			if err := command.Run(); err == nil || !strings.Contains(complaints.String(), c.says) ||
				strings.Contains(complaints.String(), "Traceback") {
				t.Errorf("%v: %s", err, complaints)
			}
			s.checkInterrupted()
		})
	}
}
