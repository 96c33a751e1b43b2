package serve

import (
	"cmp"
	"context"
	"sync"

	"echocast/internal/opusencoder"
	"echocast/replica"
	"echocast/rtc"
)

// Local is a stand-in replica for one connection from this process, behind a real data
// channel.
type Local struct {
	listener *rtc.Listener
	stop     context.CancelFunc
	ended    sync.WaitGroup

	mu     sync.Mutex
	failed error          // the first thing that went wrong with the replica
	runs   map[string]int // underruns of the utterances that have ended
}

// LocalOptions configure a Local. Nil and each zero value mean the default.
type LocalOptions struct {
	Record       string            // the file that gets what is heard (WAV); empty: none
	MessageLimit int               // larger messages are dropped; 0: replica.DefaultMessageLimit
	Faults       []string          // as replica.Options.SetFaults takes them
	OnComplaint  func(text string) // is called with what is wrong with messages
}

// StartLocal starts a replica. Close ends it.
func StartLocal(o *LocalOptions) (*Local, error) {
	if o == nil {
		o = &LocalOptions{}
	}
	listener, err := rtc.Listen("127.0.0.1:0", &rtc.Options{MuLaw: !opusencoder.Available})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &Local{listener: listener, stop: stop, runs: map[string]int{}}
	options := &Options{Record: o.Record, Once: true, Observer: Observer{
		Join:      func(int, bool) { _ = listener.Close() }, // it takes one connection
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
	l.ended.Go(func() { _ = Run(ctx, listener, options) }) // fail is called with what fails
	return l, nil
}

// URL is the address to dial.
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

// Underruns returns how many underruns an utterance had, and false before it has ended.
// The replica counts them before it says that it has stopped.
func (l *Local) Underruns(id string) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, ok := l.runs[id]
	return n, ok
}

// Close ends the replica once it has noticed that its peer has left, and completes the
// recording. It returns the first error of the replica.
func (l *Local) Close() error {
	_ = l.listener.Close() // if nothing has connected, nothing will
	l.ended.Wait()
	l.stop()
	return l.failed
}
