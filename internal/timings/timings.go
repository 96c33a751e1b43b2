// Package timings passes a service's word times to a session.
package timings

import (
	"time"

	"echocast/audio"
	"echocast/echo"
)

// Of returns the words of a speech that begins at a time of the input: those that are said
// from that time on.
func Of(words []audio.Word, begin time.Duration) []echo.WordTiming {
	var all []echo.WordTiming
	for _, w := range words {
		if w.End > begin || begin == 0 {
			all = append(all, echo.WordTiming{Word: w.Text, Start: max(w.Start-begin, 0), End: w.End - begin})
		}
	}
	return all
}
