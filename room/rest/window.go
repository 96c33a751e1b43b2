package rest

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"echocast/internal/sleep"
	"echocast/tavus"
)

// priority selects how much of the rate a message may use.
type priority int

const (
	ordinary priority = iota
	urgent            // interrupts
)

// reserved is how many requests per window are reserved for interrupts.
const reserved = 6

// Limits for new utterances and other messages. A burst and a steady rate together stay
// within a window, and leave room for the chunks of utterances that have begun.
const (
	burst  = 14
	steady = (tavus.AppMessages - reserved - burst) / float64(tavus.AppMessageWindow/time.Second)
)

// window counts requests, so that the service never receives more than
// tavus.AppMessages in any tavus.AppMessageWindow. The zero window is empty.
//
// A request counts until one window after its answer. The service counts from the arrival
// of the request, which is earlier.
type window struct {
	once  sync.Once
	begin *rate.Limiter

	mu       sync.Mutex
	open     int         // requests without an answer
	answered []time.Time // the others, oldest first
}

func (w *window) limiter() *rate.Limiter {
	w.once.Do(func() { w.begin = rate.NewLimiter(rate.Limit(steady), burst) })
	return w.begin
}

// waitToBegin waits until another utterance may begin. The chunks of an utterance do not
// wait. They make later utterances wait longer.
func (w *window) waitToBegin(ctx context.Context) error {
	missing := 1 - w.limiter().Tokens()
	return sleep.For(ctx, time.Duration(missing/steady*float64(time.Second)))
}

// enter waits until another request may be made. The caller must call leave after it.
func (w *window) enter(ctx context.Context, p priority) error {
	limit := tavus.AppMessages
	if p == ordinary {
		limit -= reserved
	}
	for {
		free, when := w.take(limit)
		if free {
			w.limiter().Reserve()
			return nil
		}
		if err := sleep.For(ctx, when); err != nil {
			return err
		}
	}
}

// take opens a request if fewer than limit requests are in the window. Otherwise it returns
// the shortest time after which that may be so.
func (w *window) take(limit int) (ok bool, when time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	old := 0
	for old < len(w.answered) && now.Sub(w.answered[old]) > tavus.AppMessageWindow {
		old++
	}
	w.answered = w.answered[old:]
	over := w.open + len(w.answered) - limit
	if over < 0 {
		w.open++
		return true, 0
	}
	if over >= len(w.answered) { // the rest wait for their answers
		return false, time.Second
	}
	return false, tavus.AppMessageWindow - now.Sub(w.answered[over]) + time.Millisecond
}

// leave records the answer to a request.
func (w *window) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open--
	w.answered = append(w.answered, time.Now())
}
