package serve

import (
	"fmt"

	"echocast/internal/text"
	"echocast/replica"
)

// Log returns an observer that writes events as lines of text, and failures as
// warnings. It skips reports.
func Log(say, warn func(line string)) Observer {
	return Observer{
		Join: func(connection int, hears bool) {
			who := "sender"
			if hears {
				who = "listener"
			}
			say(fmt.Sprintf("connection %d: %s connected", connection, who))
		},
		Leave: func(connection int, err error) {
			if err != nil {
				warn(fmt.Sprintf("connection %d: %s", connection, text.FirstLine(err.Error())))
				return
			}
			say(fmt.Sprintf("connection %d: disconnected", connection))
		},
		Event: func(e replica.Event) {
			if line := e.Line(); line != "" {
				say(line)
			}
		},
		Utterance: func(u replica.Utterance) { say(u.Line()) },
		Fail:      func(err error) { warn(text.FirstLine(err.Error())) },
	}
}
