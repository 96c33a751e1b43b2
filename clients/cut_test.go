package clients

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// cutter passes connections on to a gateway, and cuts each WebSocket after some bytes of one
// direction, wherever that is: in the handshake, in a message, or between the last audio and
// the receipt.
type cutter struct {
	listener net.Listener
	to       string
	sockets  atomic.Int64 // that were opened
	cuts     [kindsOfCuts]atomic.Int64
	running  sync.WaitGroup
}

// kindsOfCuts: in the request for a WebSocket and in the answer to it, and in what is sent to
// the gateway and by it later.
const (
	inRequest = iota
	inAnswer
	inOrders
	inEvents
	kindsOfCuts
)

// mostCuts is how many WebSockets are cut. Those after them last.
const mostCuts = 60

// cutSockets passes connections on until the test ends.
func cutSockets(t *testing.T, to string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: listener, to: to}
	c.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.running.Go(func() { c.pass(conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		c.running.Wait()
	})
	return c
}

// limits returns after how many bytes to the gateway, or from it, the nth WebSocket is cut, and
// the kinds of these two cuts.
//
// How many bytes of events come while audio is sent is a matter of speed, so the first seven
// carry no more than 442 kB of audio, less than the 460 kB of a client's four utterances:
// however fast the machine is, each kind of cut happens.
func limits(n int64) (up, down int64, kinds [2]int) {
	const never = 1 << 40
	kinds = [2]int{inOrders, inEvents}
	switch {
	case n >= mostCuts:
		return never, never, kinds
	case n%9 == 3:
		return 90, never, [2]int{inRequest, inEvents}
	case n%9 == 7:
		return never, 60, [2]int{inOrders, inAnswer}
	case n%3 == 1 && n < 7:
		return 60_000, 250 + n*211%1700, kinds
	case n%3 == 1:
		return never, 250 + n*211%1700, kinds
	}
	return 20_000 + n*37_003%120_000, never, kinds
}

func (c *cutter) pass(from *net.TCPConn) {
	defer from.Close()
	to, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer to.Close()
	begin := make([]byte, 2048)
	n, _ := from.Read(begin) // the first line at least
	line, _, _ := bytes.Cut(begin[:n], []byte("\n"))
	nth := int64(mostCuts)
	if bytes.Contains(line, []byte("/socket")) {
		nth = c.sockets.Add(1) - 1
	}
	up, down, kinds := limits(nth)
	var both sync.WaitGroup
	copyUntil := func(to io.Writer, from io.Reader, limit int64, kind int) {
		n, _ := io.Copy(to, io.LimitReader(from, limit)) // the ends notice what went wrong
		if n == limit {
			c.cuts[kind].Add(1)
		}
	}
	both.Go(func() {
		copyUntil(to, io.MultiReader(bytes.NewReader(begin[:n]), from), up, kinds[0])
		_ = to.Close()
		_ = from.Close()
	})
	copyUntil(from, to, down, kinds[1])
	_ = from.SetLinger(int(nth % 2)) // every other one is reset
	_ = from.Close()
	_ = to.Close()
	both.Wait()
}

// testContinues checks that a client says everything once, however often its WebSocket is cut.
func testContinues(t *testing.T, env []string, name string, arguments ...string) {
	t.Helper()
	cutter := cutSockets(t, gatewayHere(t))
	runProgram(t, env, name, append(arguments, "http://"+cutter.listener.Addr().String())...)
	for kind, what := range [kindsOfCuts]string{"a request", "an answer", "audio", "an event"} {
		if cutter.cuts[kind].Load() == 0 {
			t.Errorf("no WebSocket was cut in %s", what)
		}
	}
}
