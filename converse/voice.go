package converse

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"echocast/audio"
	"echocast/internal/child"
	"echocast/internal/textcut"
)

// Audio is the audio of an answer: mono, at the rate of the wire, with information
// about the output of the TTS command. *audio.Prepared is one.
type Audio interface {
	audio.Source
	Info() audio.Info
	FramesRead() int64
	Warnings() []string
	Words() []audio.Word // with times, if the command prints JSON that has them
	Close() error
}

// runCommands starts the commands that answer what the user said or, if that is empty, that
// make the audio of a given text.
func (c *conversation) runCommands(ctx context.Context, want request) (*answerAudio, error) {
	ctx, stop := context.WithCancel(ctx)
	r := newReply(want.text)
	if want.question != "" {
		var err error
		if r, err = c.think(ctx, want); err != nil {
			stop()
			return nil, err
		}
	}
	v := &voice{conversation: c, ctx: ctx, name: want.name, reply: r}
	open := v.openWhole
	if c.options.PerSentence {
		open = v.openSentences
	}
	in, err := open()
	m := &answerAudio{audio: in, err: err, abort: v.abort, reply: r.text}
	m.finish = func(spoken error) error {
		defer stop()
		isAbandoned := spoken != nil
		earlier := r.failure() // later errors are a consequence of ending it
		if isAbandoned {
			stop()
			v.abort()
		}
		failed := r.close(isAbandoned)
		v.close()
		if isAbandoned {
			return earlier
		}
		return failed
	}
	return m, nil
}

// think starts the OnUtterance command.
func (c *conversation) think(ctx context.Context, want request) (*reply, error) {
	cmd := child.Shell(ctx, c.options.OnUtterance)
	input := want.question
	if c.options.JSON {
		line, _ := json.Marshal(struct { // strings and numbers always marshal
			Text     string    `json:"text"`
			Previous *Previous `json:"previous,omitempty"`
		}{want.question, want.previous})
		input = string(line)
	}
	if p := want.previous; p != nil && p.Heard != nil {
		cmd.Env = append(cmd.Env, "ECHOCAST_HEARD="+strings.ReplaceAll(p.Heard.Text, "\x00", ""))
	}
	cmd.Stdin, cmd.Stderr = strings.NewReader(input+"\n"), c.options.Stderr
	process, err := child.Start(cmd)
	if err != nil {
		return nil, &CommandError{"on-utterance", err}
	}
	out := &output{name: "on-utterance", process: process, timeout: c.options.ThinkTimeout, slow: c.noteSlow(want.name)}
	return &reply{output: out, fallback: c.options.Fallback}, nil
}

func (c *conversation) noteSlow(name string) func(string) {
	return func(reason string) { c.note(Note{Kind: NoteSlow, Answer: name, Reason: reason}) }
}

// voice runs the TTS command for a reply.
type voice struct {
	conversation *conversation
	ctx          context.Context //nolint:containedctx // of the answer; ends all commands
	name         string
	reply        *reply
	running      sync.WaitGroup // goroutines that feed a command or make sentences

	mu        sync.Mutex
	processes []*child.Process // that print audio now
	isAborted bool
	lastAudio time.Time
	sentences *sentences // nil without Options.PerSentence
}

// start starts the TTS command for a text.
func (v *voice) start(text io.Reader) (io.Reader, error) {
	cmd := child.Shell(v.ctx, v.conversation.options.TTS)
	cmd.Stderr = v.conversation.options.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, &CommandError{"tts", err}
	}
	process, err := child.Start(cmd)
	if err != nil {
		return nil, &CommandError{"tts", err}
	}
	v.add(process)
	v.running.Go(func() {
		_, _ = io.Copy(stdin, text) // fails only if the command has ended, which is reported elsewhere
		_ = stdin.Close()
	})
	c := v.conversation
	out := &output{name: "tts", process: process, timeout: c.options.TTSTimeout, slow: c.noteSlow(v.name)}
	return &timedOutput{v, out}, nil
}

// timedOutput reads the audio that a command prints, and records when audio last arrived.
type timedOutput struct {
	v *voice
	*output
}

func (s *timedOutput) Read(p []byte) (int, error) {
	n, err := s.output.Read(p)
	if n > 0 {
		s.v.mu.Lock()
		s.v.lastAudio = time.Now()
		s.v.mu.Unlock()
	}
	return n, err
}

// openWhole makes the audio of the whole reply with one run of the command.
func (v *voice) openWhole() (Audio, error) {
	out, err := v.start(v.reply)
	if err != nil {
		return nil, err
	}
	out.(*timedOutput).idleSince = func(waiting time.Time) (time.Time, bool) {
		v.mu.Lock()
		last := v.lastAudio
		v.mu.Unlock()
		return v.reply.pendingSince(waiting, last)
	}
	return v.prepare(out, v.conversation.options.Prepare)
}

// prepare opens audio. Its errors do not name the input, because the answer's error does.
func (v *voice) prepare(out io.Reader, o audio.PrepareOptions) (Audio, error) {
	in, err := audio.Prepare(v.ctx, out, &o)
	if err != nil {
		return nil, err
	}
	return in, nil
}

func (v *voice) add(p *child.Process) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.processes = append(v.processes, p)
	if v.isAborted {
		p.Kill()
	}
}

// abort ends every read of audio that blocks.
func (v *voice) abort() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.isAborted = true
	for _, p := range v.processes {
		_ = p.Stdout.Close() // it was only read
		p.Kill()
	}
	if v.sentences != nil {
		v.sentences.abort()
	}
}

// close ends the running commands, and waits for all.
func (v *voice) close() {
	if v.sentences != nil {
		v.sentences.close()
	}
	v.abort()
	v.running.Wait()
	for _, p := range v.processes {
		_, _ = p.WaitFor(exitTimeout) // reading its output has already returned its error
	}
}

// sentences is the audio of all sentences in order. While one is spoken, the command
// makes the next.
type sentences struct {
	v    *voice
	next chan sentence
	over chan struct{} // closed by abort
	once sync.Once
	info audio.Info
	err  error

	mu      sync.Mutex
	current Audio
	frames  int64
	notes   []string
	samples int64        // handed out
	begin   int64        // the sample that the current sentence begins with
	words   []audio.Word // of the sentences that have ended
}

// sentence is the audio of one sentence, or an error.
type sentence struct {
	audio Audio
	err   error
}

// openSentences begins to make the sentences, and waits for the first.
func (v *voice) openSentences() (Audio, error) {
	s := &sentences{v: v, next: make(chan sentence), over: make(chan struct{})}
	v.mu.Lock()
	v.sentences = s
	v.mu.Unlock()
	v.running.Go(s.make)
	if err := s.advance(); err != nil {
		if errors.Is(err, io.EOF) {
			err = audio.ErrEmpty
		}
		return nil, err
	}
	s.info = s.current.Info()
	o := v.conversation.options.Prepare
	if o.PadBefore == 0 && o.PadAfter == 0 {
		return s, nil
	}
	return &paddedAudio{s, audio.Pad(s, o.PadBefore, o.PadAfter), o.PadBefore}, nil
}

// paddedAudio is an Audio with silence around it.
type paddedAudio struct {
	Audio
	source audio.Source
	before time.Duration // of silence
}

func (p *paddedAudio) Words() []audio.Word { return later(p.Audio.Words(), p.before) }

func later(words []audio.Word, shift time.Duration) []audio.Word {
	for i := range words {
		words[i].Start, words[i].End = words[i].Start+shift, words[i].End+shift
	}
	return words
}

func (p *paddedAudio) ReadSamples(dst []float32) (int, error) { return p.source.ReadSamples(dst) }

// make makes the audio of sentences until there are no more, one fails, or abort is
// called.
func (s *sentences) make() {
	defer close(s.next)
	for text, err := range textcut.Sentences(s.v.reply) {
		next := sentence{err: err}
		if err == nil {
			next.audio, next.err = s.open(text)
		}
		select {
		case s.next <- next:
		case <-s.over:
			closeAudio(next.audio)
			return
		}
		if next.err != nil {
			return
		}
	}
}

func closeAudio(a Audio) {
	if a != nil {
		_ = a.Close() // it was only read
	}
}

// open makes the audio of one sentence, or finds it in the cache.
func (s *sentences) open(text string) (Audio, error) {
	o := s.v.conversation.options.Prepare
	o.PadBefore, o.PadAfter = 0, 0 // around the whole answer
	out, err := s.v.cached(text)
	if err != nil {
		return nil, err
	}
	in, err := s.v.prepare(out, o)
	if err != nil {
		spoil(out, err)
		_ = out.Close() // err is already set
		return nil, err
	}
	return &sentenceAudio{in, out}, nil
}

// sentenceAudio also closes its reader.
type sentenceAudio struct {
	Audio
	from io.Closer
}

func (a *sentenceAudio) ReadSamples(p []float32) (int, error) {
	n, err := a.Audio.ReadSamples(p)
	if err != nil && err != io.EOF {
		spoil(a.from, err)
	}
	return n, err
}

// spoil keeps audio that cannot be decoded out of the cache.
func spoil(from io.Closer, err error) {
	if kept, ok := from.(*teeReader); ok {
		kept.spoil(err)
	}
}

func (a *sentenceAudio) Close() error { return errors.Join(a.Audio.Close(), a.from.Close()) }

// advance continues with the next sentence, and returns io.EOF if there is none.
func (s *sentences) advance() error {
	select {
	case next, ok := <-s.next:
		if !ok {
			return io.EOF
		}
		s.mu.Lock()
		s.current, s.begin = next.audio, s.samples
		s.mu.Unlock()
		return next.err
	case <-s.over:
		return context.Canceled
	}
}

func (s *sentences) Format() audio.Format {
	return audio.Format{Rate: cmp.Or(s.v.conversation.options.Prepare.Rate, audio.DefaultRate), Channels: 1}
}

func (s *sentences) ReadSamples(p []float32) (int, error) {
	for s.err == nil {
		n, err := s.current.ReadSamples(p)
		if n > 0 {
			s.mu.Lock()
			s.samples += int64(n)
			s.mu.Unlock()
			return n, nil
		}
		if s.err = err; errors.Is(err, io.EOF) {
			s.account()
			s.err = s.advance()
		}
	}
	return 0, s.err
}

// account adds the figures of a sentence that has ended to the totals.
func (s *sentences) account() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames += s.current.FramesRead()
	s.notes = append(s.notes, s.current.Warnings()...)
	s.words = append(s.words, s.currentWords()...)
	closeAudio(s.current)
	s.current = nil
}

func (s *sentences) currentWords() []audio.Word {
	if s.current == nil {
		return nil
	}
	return later(s.current.Words(), s.Format().Duration(s.begin))
}

// Words returns the words of the sentences so far.
func (s *sentences) Words() []audio.Word {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.words, s.currentWords())
}

func (s *sentences) Info() audio.Info { return s.info }

// FramesRead returns the frames of the sentences that have ended.
func (s *sentences) FramesRead() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames
}

func (s *sentences) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notes
}

// Close does nothing: the voice closes the sentences.
func (s *sentences) Close() error { return nil }

func (s *sentences) abort() { s.once.Do(func() { close(s.over) }) }

func (s *sentences) close() {
	s.abort()
	for next := range s.next {
		closeAudio(next.audio)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	closeAudio(s.current)
	s.current = nil
}
