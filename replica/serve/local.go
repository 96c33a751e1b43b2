package serve

import (
	"cmp"
	"context"
	"strings"
	"sync"

	"echocast/internal/opusencoder"
	"echocast/replica"
	"echocast/replica/page"
	"echocast/rtc"
)

// Local is a stand-in replica in this process. It is reached through a real data channel.
type Local struct {
	listener *rtc.Listener
	page     *page.Page // nil: no page
	own      int        // number of connections of this process
	stop     context.CancelFunc
	ended    sync.WaitGroup

	mu       sync.Mutex
	failed   error          // the first error of the replica
	runs     map[string]int // underruns of the utterances that have ended
	browsers map[int]bool   // connections of browsers
	changed  chan struct{}  // closed when browsers change
}

// LocalOptions configure a Local. Nil and each zero value mean the default.
type LocalOptions struct {
	Record       string            // WAV file that records what is heard; empty: none
	MessageLimit int               // larger messages are dropped; 0: replica.DefaultMessageLimit
	Faults       []string          // as replica.Options.SetFaults takes them
	OnComplaint  func(text string) // called with each complaint about a message
	Participants int               // how many connections this process makes; 0: 1
	Page         bool              // browsers may join, and show the replica
}

// StartLocal starts a replica. Close ends it.
func StartLocal(o *LocalOptions) (*Local, error) {
	if o == nil {
		o = &LocalOptions{}
	}
	l := &Local{own: max(o.Participants, 1), runs: map[string]int{}, browsers: map[int]bool{},
		changed: make(chan struct{})}
	with := &rtc.Options{MuLaw: !opusencoder.Available}
	if o.Page {
		l.page = page.New()
		with.Handler = l.page
	}
	listener, err := rtc.Listen("127.0.0.1:0", with)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	l.listener, l.stop = listener, stop
	options := &Options{Record: o.Record, Once: true, Page: l.page, Observer: Observer{
		Join:      l.join,
		Leave:     func(n int, _ error) { l.visit(n, false) },
		Utterance: l.count,
		Fail:      l.fail,
		Report: func(report replica.Report) {
			for _, complaint := range report.Complaints {
				if o.OnComplaint != nil {
					o.OnComplaint(complaint.Text)
				}
			}
		},
	}}
	options.Replica.MessageLimit = o.MessageLimit
	if err := options.Replica.SetFaults(o.Faults); err != nil {
		stop()
		return nil, cmp.Or(err, listener.Close())
	}
	l.ended.Go(func() { _ = Run(ctx, listener, options) }) // fail records an error
	return l, nil
}

// join accepts only as many connections as this process makes. With a page it accepts any
// number.
func (l *Local) join(n int, hears bool) {
	switch {
	case n > l.own && hears:
		l.visit(n, true)
	case n >= l.own && l.page == nil:
		_ = l.listener.Close()
	}
}

func (l *Local) visit(n int, isThere bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.browsers[n] == isThere {
		return
	}
	l.browsers[n] = isThere
	if !isThere {
		delete(l.browsers, n)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// WaitBrowser waits until a browser shows the page. If isThere is false, it waits until
// none does. The error is the cause of ctx.
func (l *Local) WaitBrowser(ctx context.Context, isThere bool) error {
	for {
		l.mu.Lock()
		found, changed := len(l.browsers) > 0, l.changed
		l.mu.Unlock()
		if found == isThere {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// PageURL returns the address of the page, or "" if there is none.
func (l *Local) PageURL() string {
	if l.page == nil {
		return ""
	}
	return strings.TrimSuffix(l.URL(), "/") + l.page.Path()
}

// URL returns the address for rtc.Dial.
func (l *Local) URL() string { return l.listener.URL() }

func (l *Local) count(u replica.Utterance) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs[u.ID] = len(u.Underruns)
}

func (l *Local) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = cmp.Or(l.failed, err)
}

// Underruns returns how many underruns an utterance had. It reports false if the utterance
// has not ended. The number is final once the replica has reported that it stopped.
func (l *Local) Underruns(id string) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, ok := l.runs[id]
	return n, ok
}

// Close ends the replica, after the replica has noticed that its peer left, and completes
// the recording. It returns the first error of the replica.
func (l *Local) Close() error {
	_ = l.listener.Close() // without a connection, none will come
	if l.page != nil {
		l.stop() // browsers may never leave
	}
	l.ended.Wait()
	l.stop()
	return l.failed
}
