package dailytest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// The traffic of one conversation during a measurement: 5 s of speech.
const (
	loadMessages = 100
	loadInterval = 50 * time.Millisecond
	loadSize     = 3434
)

// SpeakAll sends messages the size of speech, in real time, in several conversations at
// once. Conversation n sends to participant n. SpeakAll returns the transit time of each
// message.
func SpeakAll(ctx context.Context, send []func(ctx context.Context, msg []byte) error,
	people []*Participant) ([]time.Duration, error) {
	var group sync.WaitGroup
	took, failed := make([][]time.Duration, len(send)), make([]error, 2*len(send))
	for i := range send {
		sent := make(chan time.Time, loadMessages)
		group.Go(func() { failed[2*i] = speak(ctx, send[i], sent) })
		group.Go(func() {
			for range loadMessages {
				if _, err := people[i].Receive(ctx); err != nil {
					failed[2*i+1] = err
					return
				}
				took[i] = append(took[i], time.Since(<-sent))
			}
		})
	}
	group.Wait()
	return slices.Concat(took...), errors.Join(failed...)
}

// speak sends the messages of one conversation in real time.
func speak(ctx context.Context, send func(ctx context.Context, msg []byte) error, sent chan<- time.Time) error {
	message := []byte(`{"audio":"` + strings.Repeat("A", loadSize-len(`{"audio":""}`)) + `"}`)
	ticker := time.NewTicker(loadInterval)
	defer ticker.Stop()
	for range loadMessages {
		<-ticker.C
		sent <- time.Now()
		if err := send(ctx, message); err != nil {
			return err
		}
	}
	return nil
}
