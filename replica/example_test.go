package replica_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"echocast/replica"
)

// script is a connection that delivers its messages and then waits for the
// replica to have stopped speaking.
type script struct {
	messages []string
	events   int
	spoken   chan struct{}
}

func (s *script) Receive(ctx context.Context) ([]byte, error) {
	if len(s.messages) == 0 {
		select {
		case <-s.spoken:
			return nil, io.EOF
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	msg := s.messages[0]
	s.messages = s.messages[1:]
	return []byte(msg), nil
}

// Send counts two events each for joined, started and stopped.
func (s *script) Send(context.Context, []byte) error {
	if s.events++; s.events == 6 {
		close(s.spoken)
	}
	return nil
}

func ExampleReplica() {
	conn := &script{spoken: make(chan struct{}), messages: []string{
		`{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c1",` +
			`"properties":{"modality":"audio","audio":"AACwBGAJEA4=","sample_rate":24000,"inference_id":"utt-1","done":false}}`,
		`{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c1",` +
			`"properties":{"modality":"audio","audio":"YAmwBAAA","sample_rate":24000,"inference_id":"utt-1","done":"true"}}`,
	}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	report, err := replica.New(conn, nil).Run(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, u := range report.Utterances {
		fmt.Printf("%s: %d of %d samples heard\n", u.ID, u.PlayedSamples, u.Samples)
	}
	for _, c := range report.Complaints {
		fmt.Printf("message %d: %s: %s\n", c.Message, c.Kind, c.Text)
	}
	// Output:
	// utt-1: 7 of 7 samples heard
	// message 2: done_not_boolean: done is "true", not a boolean
}
