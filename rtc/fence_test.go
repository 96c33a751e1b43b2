package rtc

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/transport/v5/stdnet"

	"echocast/internal/testwait"
)

// In whatever way a datagram is sent, it does not leave without permission, nor later.
func TestFenceDropsWhatMayNotBeSent(t *testing.T) {
	inner, err := stdnet.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	var may atomic.Bool
	fenced := &fencedNet{inner, may.Load}
	here := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	there := must(net.ListenUDP("udp4", here))(t)
	to := there.LocalAddr().(*net.UDPAddr)
	socket := must(net.ListenTCP("tcp4", &net.TCPAddr{IP: here.IP}))(t)

	packets := must(fenced.ListenPacket("udp4", "127.0.0.1:0"))(t)
	listening := must(fenced.ListenUDP("udp4", here))(t)
	dialed := must(fenced.DialUDP("udp4", nil, to))(t)
	byTCP := must(fenced.DialTCP("tcp4", nil, socket.Addr().(*net.TCPAddr)))(t)
	relay := must(socket.AcceptTCP())(t)
	for name, way := range map[string]struct {
		send     func(p []byte) (int, error)
		receiver net.Conn
	}{
		"ListenPacket": {func(p []byte) (int, error) { return packets.WriteTo(p, to) }, there},
		"WriteTo":      {func(p []byte) (int, error) { return listening.WriteTo(p, to) }, there},
		"WriteToUDP":   {func(p []byte) (int, error) { return listening.WriteToUDP(p, to) }, there},
		"WriteMsgUDP": {func(p []byte) (int, error) {
			sent, _, err := listening.WriteMsgUDP(p, nil, to)
			return sent, err
		}, there},
		"DialUDP": {dialed.Write, there},
		"DialTCP": {byTCP.Write, relay},
	} {
		for _, text := range []string{"late", "good"} {
			may.Store(text == "good")
			if sent, err := way.send([]byte(text)); sent != len(text) || err != nil {
				t.Errorf("%s: %d bytes sent, %v", name, sent, err)
			}
		}
		_ = way.receiver.SetReadDeadline(time.Now().Add(testwait.Limit))
		got := make([]byte, len("good"))
		if _, err := io.ReadFull(way.receiver, got); err != nil || string(got) != "good" {
			t.Errorf("%s: %q arrived, %v", name, got, err)
		}
	}
}

// must returns a value that the test closes, and ends the test after an error.
func must[T io.Closer](value T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = value.Close() })
		return value
	}
}

// Without permission to send, no connection of either kind is made.
func TestConnectionsAreFenced(t *testing.T) {
	for _, sound := range []bool{false, true} {
		t.Run(map[bool]string{false: "data", true: "sound"}[sound], func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(testwait.Context(t))
			defer cancel()
			asked := sync.OnceFunc(func() { time.AfterFunc(time.Second, cancel) })
			no := func() bool { asked(); return false }
			l := listen(t, nil)
			conn, err := Dial(ctx, l.URL(), &Options{MaySend: no, Sound: sound, ConnectTimeout: testwait.Limit})
			if err == nil {
				_ = conn.Close()
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want no connection within a second after the first datagram", err)
			}
		})
	}
}
