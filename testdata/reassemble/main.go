// Reassemble reads conversation.echo messages, one a line, on standard input and
// writes the audio of each utterance whole to standard output, as s16le. It
// shares no code with echocast, so that it can check echocast. It fails if an utterance
// changes its rate, has done before its end or twice, or continues after its end.
//
//	echocast encode speech.wav | go run testdata/reassemble/main.go > speech.s16
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

type message struct {
	MessageType string `json:"message_type"`
	EventType   string `json:"event_type"`
	Properties  *struct {
		Modality    string `json:"modality"`
		Audio       []byte `json:"audio"`
		SampleRate  int    `json:"sample_rate"`
		InferenceID string `json:"inference_id"`
		Done        *bool  `json:"done"`
	} `json:"properties"`
}

func main() {
	if err := reassemble(); err != nil {
		fmt.Fprintln(os.Stderr, "reassemble:", err)
		os.Exit(1)
	}
}

func reassemble() error {
	out := bufio.NewWriter(os.Stdout)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	over := map[string]bool{} // ids whose done has arrived
	open := ""
	for n := 1; lines.Scan(); n++ {
		var m message
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		p := m.Properties
		if m.MessageType != "conversation" || m.EventType != "conversation.echo" || p == nil || p.Done == nil ||
			p.Modality != "audio" {
			return fmt.Errorf("line %d is no audio message: %.100s", n, lines.Text())
		}
		id := p.InferenceID
		switch {
		case over[id]:
			return fmt.Errorf("line %d: utterance %s continues after its done", n, id)
		case open != "" && open != id:
			return fmt.Errorf("line %d: utterance %s begins before %s is done", n, id, open)
		case p.SampleRate != 24000 || len(p.Audio) == 0 || len(p.Audio)%2 != 0:
			return fmt.Errorf("line %d: %d bytes at %d Hz", n, len(p.Audio), p.SampleRate)
		}
		open = id
		if *p.Done {
			over[id], open = true, ""
		}
		if _, err := out.Write(p.Audio); err != nil {
			return err
		}
	}
	if open != "" {
		return fmt.Errorf("utterance %s has no done", open)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return out.Flush()
}
