package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"echocast/echo"
	"echocast/internal/pcm"
	"echocast/playout"
)

// elevenLabs is the address of ElevenLabs' API.
const elevenLabs = "https://api.elevenlabs.io"

// elevenLabsAddress returns the address of an agent. Without a key, it is the address of a
// public agent. With a key, it is a signed address, which private agents need.
func (o *Options) elevenLabsAddress(ctx context.Context) (string, error) {
	query := "agent_id=" + url.QueryEscape(o.Name)
	switch {
	case o.URL != "":
		return o.URL, nil
	case o.Key == "":
		return strings.Replace(elevenLabs, "https", "wss", 1) + "/v1/convai/conversation?" + query, nil
	}
	return signedAddress(ctx, elevenLabs+"/v1/convai/conversation/get-signed-url?"+query, o.Key)
}

// maxSigned limits the answer with a signed address, in bytes.
const maxSigned = 64 << 10

func signedAddress(ctx context.Context, address, key string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", &DialError{Err: err}
	}
	request.Header.Set("xi-api-key", key)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request) // a redirect would send the key to another host
	if err != nil {
		return "", dialError(nil, err)
	}
	defer response.Body.Close() //nolint:errcheck // the body was read
	var signed struct {
		URL string `json:"signed_url"`
	}
	if response.StatusCode != http.StatusOK {
		return "", &DialError{Status: response.StatusCode, Err: fmt.Errorf("the service answers %s", response.Status)}
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxSigned)).Decode(&signed)
	if err == nil && signed.URL == "" {
		err = errors.New("signed_url is empty")
	}
	if err != nil {
		return "", &DialError{Err: fmt.Errorf("the service gave no signed address: %w", err)}
	}
	return signed.URL, nil
}

// convai is a conversation with an agent of ElevenLabs.
type convai struct {
	talk    *talk
	ctx     context.Context //nolint:containedctx // of the conversation
	stop    context.CancelFunc
	running sync.WaitGroup

	mu            sync.Mutex
	player        *playout.Player // nil until the formats are known
	input, output format          // the user's voice, and the agent's
	cutOff        int             // id of the last interrupted event
	answer        string          // the agent's current text
}

func newElevenLabs(ctx context.Context, t *talk) *convai {
	c := &convai{talk: t}
	c.ctx, c.stop = context.WithCancel(ctx)
	t.send(map[string]string{"type": "conversation_initiation_client_data"})
	return c
}

func (c *convai) drain() {
	c.mu.Lock()
	player := c.player
	c.mu.Unlock()
	if player != nil {
		player.End()
		_ = player.Drain(c.ctx) // fails only if the caller has ended ctx
	}
}

func (c *convai) close() {
	c.stop()
	c.running.Wait()
}

func (c *convai) encodeVoice(samples []byte) []byte {
	c.mu.Lock()
	input := c.input
	c.mu.Unlock()
	data, _ := json.Marshal(struct {
		Chunk []byte `json:"user_audio_chunk"`
	}{input.encode(samples)})
	return data
}

// convaiEvent is an event of the service.
type convaiEvent struct {
	Type     string `json:"type"`
	Metadata struct {
		Output string `json:"agent_output_audio_format"`
		Input  string `json:"user_input_audio_format"`
	} `json:"conversation_initiation_metadata_event"`
	Audio struct {
		Data []byte `json:"audio_base_64"`
		ID   int    `json:"event_id"`
	} `json:"audio_event"`
	Interruption struct {
		ID int `json:"event_id"`
	} `json:"interruption_event"`
	Ping struct {
		ID int `json:"event_id"`
	} `json:"ping_event"`
	Answer struct {
		Text string `json:"agent_response"`
	} `json:"agent_response_event"`
	User struct {
		Text string `json:"user_transcript"`
	} `json:"user_transcription_event"`
	Tool struct {
		Name string `json:"tool_name"`
		ID   string `json:"tool_call_id"`
	} `json:"client_tool_call"`
}

func (c *convai) read(data []byte) (int, error) {
	var e convaiEvent
	if err := json.Unmarshal(data, &e); err != nil {
		return 0, fmt.Errorf("the agent sent no event: %w", err)
	}
	switch e.Type {
	case "conversation_initiation_metadata":
		return c.begin(e.Metadata.Input, e.Metadata.Output)
	case "audio":
		return 0, c.add(e.Audio.ID, e.Audio.Data)
	case "interruption":
		c.interruptFrom(e.Interruption.ID)
	case "ping":
		c.talk.send(map[string]any{"type": "pong", "event_id": e.Ping.ID})
	case "agent_response":
		c.mu.Lock()
		c.answer = e.Answer.Text
		c.mu.Unlock()
		c.talk.say("agent", e.Answer.Text)
	case "user_transcript":
		c.talk.say("user", e.User.Text)
	case "client_tool_call": // the agent waits for an answer
		c.talk.send(map[string]any{
			"type": "client_tool_result", "tool_call_id": e.Tool.ID, "is_error": true, "result": "this client runs no tools",
		})
		return 0, fmt.Errorf("the agent asked for the tool %s; echocast answered that it runs no tools", e.Tool.Name)
	}
	return 0, nil
}

// begin begins to speak and to hear, in the formats set for the agent.
func (c *convai) begin(input, output string) (int, error) {
	from, err := readFormat(input)
	if err != nil {
		return 0, err
	}
	to, err := readFormat(output)
	if err != nil {
		return 0, err
	}
	player, err := playout.New(c.talk.options.Speaker, playout.Options{
		Rate: to.rate, SpeakerRate: c.talk.options.SpeakerRate, Name: "the agent", OnHeard: c.settleHeard,
	})
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	c.player, c.input, c.output = player, from, to
	c.mu.Unlock()
	c.running.Go(func() {
		if err := player.Run(c.ctx); c.ctx.Err() == nil {
			c.talk.warn(fmt.Sprintf("the replica says nothing more: %v", err))
		}
	})
	return from.rate, nil
}

// format is an audio encoding: 16-bit samples, or mu-law.
type format struct {
	rate    int // Hz
	isMuLaw bool
}

// readFormat reads the name of a format, such as pcm_16000.
func readFormat(name string) (format, error) {
	kind, hertz, _ := strings.Cut(name, "_")
	rate, err := strconv.Atoi(hertz)
	if err != nil || kind != "pcm" && kind != "ulaw" {
		return format{}, fmt.Errorf("the agent's audio is %q; set it to pcm_16000, pcm_24000 or ulaw_8000", name)
	}
	return format{rate, kind == "ulaw"}, nil
}

func (f format) decode(data []byte) []int16 {
	if f.isMuLaw {
		return pcm.Decode(data, pcm.DecodeMuLaw)
	}
	return pcm.Samples(data)
}

// encode encodes signed 16-bit little-endian samples.
func (f format) encode(samples []byte) []byte {
	if f.isMuLaw {
		return pcm.Encode(pcm.Samples(samples), pcm.EncodeMuLaw)
	}
	return samples
}

// add speaks a piece of audio, unless the user has interrupted it.
func (c *convai) add(id int, data []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.player == nil || id <= c.cutOff {
		return nil
	}
	_, err := c.player.Add(c.output.decode(data))
	return err
}

// interruptFrom interrupts the replica because the user began to speak.
func (c *convai) interruptFrom(id int) {
	c.mu.Lock()
	c.cutOff = max(c.cutOff, id)
	player := c.player
	c.mu.Unlock()
	if player != nil {
		player.Clear()
	}
}

// settleHeard tells the agent what the user heard of an answer that was cut off.
func (c *convai) settleHeard(h playout.Heard) {
	if h.Heard >= h.End {
		return
	}
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
	text := "The user cut you off, and heard nothing of your last answer."
	words := echo.HeardFor(answer, time.Duration(h.Receipt.SpokenSeconds*float64(time.Second)))
	if words != nil && words.Text != "" {
		text = fmt.Sprintf("The user cut you off, and heard only this of your last answer: %q", words.Text)
	}
	c.talk.send(map[string]string{"type": "contextual_update", "text": text})
}
