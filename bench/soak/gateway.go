package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// gateway is the program, running as a separate process.
type gateway struct {
	program *exec.Cmd
	url     string
	client  *http.Client
}

var listens = regexp.MustCompile(`http://[^/]+`)

// start starts the program, and returns when it listens.
func start(program string, conversations int) (*gateway, error) {
	// A conversation may still be ending while the next one begins.
	slots := strconv.Itoa(2 * conversations)
	g := &gateway{client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: conversations}}}
	// A busy machine must accept conversations too.
	g.program = exec.Command(program, "serve", "--rehearse", "--listen", "127.0.0.1:0", "--max-conversations", slots,
		"--max-lateness", "1h")
	stderr, err := g.program.StderrPipe()
	if err == nil {
		err = g.program.Start()
	}
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stderr).ReadString('\n')
	if g.url = listens.FindString(line); g.url == "" {
		g.stop()
		return nil, fmt.Errorf("%s does not listen: %s: %w", program, line, err)
	}
	go io.Copy(io.Discard, stderr) //nolint:errcheck // it ends with the program
	return g, nil
}

// stop tells the program to end, and waits until it has ended.
func (g *gateway) stop() {
	_ = g.program.Process.Signal(syscall.SIGTERM) // it may have ended
	if err := g.program.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, "soak: the gateway:", err)
	}
}

// figures are values from /metrics.
type figures struct{ created, utterances, rss, heap, goroutines, files float64 }

func (g *gateway) figures() (f figures, err error) {
	answer, err := g.client.Get(g.url + "/metrics") //nolint:noctx // the program answers or ends
	if err != nil {
		return f, err
	}
	defer answer.Body.Close()
	into := map[string]*float64{
		"echocast_conversations_created_total": &f.created, "echocast_utterances_total": &f.utterances,
		"process_resident_memory_bytes": &f.rss, "go_memstats_heap_inuse_bytes": &f.heap,
		"go_goroutines": &f.goroutines, "process_open_fds": &f.files,
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), " ")
		name, _, _ := strings.Cut(series, "{")
		if to := into[name]; to != nil {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return f, err
			}
			*to += n
		}
	}
	if lines.Err() == nil && f.goroutines == 0 {
		return f, errors.New("/metrics does not say how many goroutines there are")
	}
	return f, lines.Err()
}

func (f *figures) print(after time.Duration) {
	const mega = 1e6
	fmt.Printf("| %v | %.0f | %.0f | %.1f MB | %.1f MB | %.0f | %.0f |\n", after.Round(time.Second), f.created,
		f.utterances, f.rss/mega, f.heap/mega, f.goroutines, f.files)
}

// rest waits until the gateway has closed what the clients have left, and returns its
// figures at that time.
func (g *gateway) rest(before figures) (f figures) {
	for begin := time.Now(); time.Since(begin) < restTime; time.Sleep(time.Second) {
		g.client.CloseIdleConnections()
		var err error
		if f, err = g.figures(); err == nil && f.goroutines <= before.goroutines && f.files <= before.files {
			break
		}
	}
	return f
}
