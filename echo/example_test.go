package echo_test

import (
	"context"
	"fmt"
	"io"

	"echocast/echo"
	"echocast/replica"
)

// wire is one end of a connection in memory; rtc.Conn is one over a network.
type wire struct {
	out chan<- []byte
	in  <-chan []byte
}

func (w wire) Send(ctx context.Context, msg []byte) error {
	select {
	case w.out <- append([]byte(nil), msg...):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w wire) Receive(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-w.in:
		return msg, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// tone is a source of n samples; package audio has those for files and pipes.
type tone struct{ n int }

func (t *tone) ReadSamples(p []float32) (int, error) {
	if t.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), t.n)
	for i := range p[:n] {
		p[i] = 0.25
	}
	t.n -= n
	return n, nil
}

func ExampleSession_Speak() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	there, back := make(chan []byte), make(chan []byte)
	played := make(chan struct{})
	go func() { // the far end
		defer close(played)
		_, _ = replica.New(wire{back, there}, nil).Run(ctx)
	}()

	session, err := echo.NewSession(echo.NewMessages(wire{there, back}, "c123", 0), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := session.WaitReady(ctx); err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := session.Speak(ctx, echo.Speech{Samples: &tone{6000}, Name: "a quarter of a second"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: %.2f s sent in %d messages, %.2f s spoken by %s\n",
		receipt.Outcome, receipt.SentSeconds, receipt.Chunks, receipt.SpokenSeconds, receipt.SpokenBy)
	_ = session.Close()
	stop()
	<-played
	// Output:
	// finished: 0.25 s sent in 5 messages, 0.25 s spoken by event
}
