package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"echocast/audio"
	"echocast/echo"
)

type probing struct {
	settings
	streams Streams
}

func probeCommand(streams Streams) *cli.Command {
	p := &probing{streams: streams}
	// What send does when nothing else is said.
	p.conversation, p.pace, p.lead, p.maxMessage = "local", string(echo.LeadMode), echo.DefaultLead, echo.DefaultMaxMessage
	return &cli.Command{
		Name:      "probe",
		Usage:     "tell what the inputs are, how loud they are, and what is odd about them",
		UsageText: "echocast probe [OPTIONS] INPUT...\n\n   echocast probe speech.mp3\n   tts | echocast probe --preset openai -",
		Description: helpInputs + `

Each input is read once, to its end. What is suspected is a guess and says so.`,
		Flags: append(p.inputFlags(), &cli.BoolFlag{Name: "json", Destination: &p.json, Usage: "print one JSON object a line"}),
		Action: func(c *cli.Context) error {
			return p.run(c.Context, c.Args().Slice())
		},
	}
}

// said is an error that was printed already.
type said struct{ error }

func (s said) Unwrap() error { return s.error }

// run probes every input, also after one that cannot be read.
func (p *probing) run(ctx context.Context, names []string) error {
	if err := p.check(names); err != nil {
		return err
	}
	if err := checkInputs(onlyStdin(names), p.streams.In, &p.settings); err != nil {
		return err // the others are each reported in their turn
	}
	stdin, restore := endReads(ctx, p.streams.In)
	defer restore()
	var failed error
	for _, name := range names {
		report, err := p.probe(ctx, name, stdin)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			failed = said{err}
			fmt.Fprintf(p.streams.Err, "echocast: %s\n", printable(err.Error()))
		}
		if err := p.print(report); err != nil {
			return err
		}
	}
	return failed
}

func onlyStdin(names []string) []string {
	for _, name := range names {
		if name == stdinName {
			return []string{stdinName}
		}
	}
	return nil
}

// probeReport is what was found out about one input. Levels that are nothing,
// such as the peak of silence in dBFS, are null.
type probeReport struct {
	Source          string   `json:"source"`
	Error           string   `json:"error,omitempty"` // why it could not be read, or not to its end
	Container       string   `json:"container,omitempty"`
	Codec           string   `json:"codec,omitempty"`
	Rate            int      `json:"rate,omitempty"` // Hz
	Channels        int      `json:"channels,omitempty"`
	Bits            int      `json:"bits,omitempty"` // of a sample, where that means something
	Seconds         float64  `json:"seconds"`
	Frames          int64    `json:"frames"`
	DeclaredSeconds *float64 `json:"declared_seconds"` // as the header claims
	PeakDBFS        *float64 `json:"peak_dbfs"`
	RMSDBFS         *float64 `json:"rms_dbfs"`
	LoudnessLUFS    *float64 `json:"loudness_lufs"` // of the mix, integrated
	ClippedSamples  int64    `json:"clipped_samples"`
	Offset          float64  `json:"dc_offset"` // of full scale
	LeadingSilence  float64  `json:"leading_silence_seconds"`
	TrailingSilence float64  `json:"trailing_silence_seconds"`
	PitchHz         float64  `json:"pitch_hz"` // median; 0 where no voice was found
	VoicedSeconds   float64  `json:"voiced_seconds"`
	Suspicions      []string `json:"suspicions"` // guesses
	Warnings        []string `json:"warnings"`   // facts
	Plan            *plan    `json:"plan,omitempty"`
	Verdict         string   `json:"verdict,omitempty"`

	wave *waveform
}

// meters see an input twice: as it is, and as it would be sent.
type meters struct {
	levels    *audio.Levels
	order     *audio.Roughness // nil where the samples are not of 16 bits
	sent      *audio.Levels
	loudness  *audio.Loudness
	pitch     *audio.Pitch
	wave      *waveform
	believed  audio.Format
	container audio.Info
}

func newMeters(in *input) *meters {
	m := &meters{
		believed: in.decoded.Format(), container: in.audio.Info(),
		levels: audio.NewLevels(in.decoded.Format(), audio.DefaultSilence),
		sent:   audio.NewLevels(audio.Format{Rate: echo.DefaultRate, Channels: 1}, audio.DefaultSilence),
		pitch:  audio.NewPitch(echo.DefaultRate), loudness: audio.NewLoudness(echo.DefaultRate), wave: newWaveform(),
	}
	if strings.HasPrefix(m.container.Codec, "pcm_s16") {
		m.order = &audio.Roughness{}
	}
	return m
}

func (m *meters) asIs(samples []float32) {
	m.levels.Add(samples)
	if m.order != nil {
		m.order.Add(samples, m.believed.Channels)
	}
}

func (m *meters) asSent(samples []float32) {
	m.sent.Add(samples)
	m.loudness.Add(samples)
	m.pitch.Add(samples)
	m.wave.add(samples)
}

// probe reads one input to its end. What was found before it broke is in the
// report, too.
func (p *probing) probe(ctx context.Context, name string, stdin io.Reader) (*probeReport, error) {
	report := &probeReport{Source: name, Suspicions: []string{}, Warnings: []string{}}
	in, err := openDecoder(name, stdin, &p.settings)
	if err != nil {
		report.Error = err.Error()
		return report, err
	}
	defer in.close()
	m := newMeters(in)
	in.decoded = &tap{in.decoded, m.asIs}
	if err := in.prepare(&p.settings, 0); err != nil {
		err = &inputError{in.title(), err}
		report.Error = err.Error()
		return report, err
	}
	in.source = &tap{in.source, m.asSent}
	samples, err := p.chunkSamples()
	if err != nil {
		return report, err
	}
	if report.Plan, err = p.planOne(ctx, in, samples); err != nil {
		err = in.failed(err)
		report.Error = err.Error()
	}
	report.fill(in, m)
	return report, err
}

func (r *probeReport) fill(in *input, m *meters) {
	info := m.container
	r.Container, r.Codec, r.Bits = info.Container, info.Codec, bitsOf(info.Codec)
	r.Rate, r.Channels = m.believed.Rate, m.believed.Channels
	r.Frames = m.levels.Frames()
	r.Seconds = m.believed.Duration(r.Frames).Seconds()
	if info.Declared >= 0 {
		declared := info.Format.Duration(info.Declared).Seconds()
		r.DeclaredSeconds = &declared
	}
	leading, trailing := m.levels.Silence()
	r.LeadingSilence, r.TrailingSilence = m.believed.Duration(leading).Seconds(), m.believed.Duration(trailing).Seconds()
	r.addLevels(m)
	r.PitchHz, r.VoicedSeconds = m.pitch.Median()
	r.Warnings = append(r.Warnings, in.warnings()...)
	r.Suspicions = append(r.Suspicions, m.suspicions(r)...)
	r.Verdict = r.verdict()
	r.wave = m.wave
}

func (r *probeReport) addLevels(m *meters) {
	var peak, squares float64
	all := m.levels.Channels()
	for _, c := range all {
		peak = max(peak, c.Peak)
		squares += c.RMS * c.RMS
		r.ClippedSamples += c.Clipped
		if math.Abs(c.Mean) > math.Abs(r.Offset) {
			r.Offset = c.Mean
		}
	}
	r.PeakDBFS = finite(audio.Decibels(peak))
	r.RMSDBFS = finite(audio.Decibels(math.Sqrt(squares / float64(len(all)))))
	r.LoudnessLUFS = finite(m.loudness.Integrated())
}

// finite is nil for what JSON has no number for.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	v = math.Round(1000*v) / 1000
	return &v
}

var bitsInCodec = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^pcm_[a-z](\d+)`) })

// bitsOf is the width of a sample by the name of its codec, 0 where it has none.
func bitsOf(codec string) int {
	if found := bitsInCodec().FindStringSubmatch(codec); found != nil {
		bits, _ := strconv.Atoi(found[1]) // digits
		return bits
	}
	if strings.Contains(codec, "law") {
		return 8
	}
	return 0
}

// verdict says in one sentence what sending does with the input.
func (r *probeReport) verdict() string {
	switch {
	case r.Frames == 0:
		return "echocast refuses it: there is nothing to say"
	case r.Plan == nil:
		return "echocast says what comes before the break, interrupts the replica and fails"
	}
	does := "passes its samples on"
	switch mixes, resamples := r.Channels > 1, r.Rate != echo.DefaultRate; {
	case mixes && resamples:
		does = fmt.Sprintf("mixes its %d channels, resamples from %d to %d Hz", r.Channels, r.Rate, echo.DefaultRate)
	case mixes:
		does = fmt.Sprintf("mixes its %d channels", r.Channels)
	case resamples:
		does = fmt.Sprintf("resamples it from %d to %d Hz", r.Rate, echo.DefaultRate)
	case r.Bits == 16:
		does = "passes its samples on bit for bit"
	}
	return fmt.Sprintf("echocast %s and sends %s of at most %.0f ms", does, counted(r.Plan.Messages, "message"), 1000*r.Plan.ChunkSeconds)
}

func (p *probing) print(r *probeReport) error {
	text := r.text(waveWidth(p.streams.Out))
	if p.json {
		line, _ := json.Marshal(r) // finite numbers and strings always marshal
		text = string(line) + "\n"
	}
	if _, err := io.WriteString(p.streams.Out, text); err != nil {
		return stdoutError{err}
	}
	return nil
}

// waveWidth is how wide a waveform may be where out is a terminal that can show
// one, else 0. There is no colour in it, so NO_COLOR changes nothing.
func waveWidth(out io.Writer) int {
	if !isTerminal(out) || os.Getenv("TERM") == "dumb" {
		return 0
	}
	width, _, err := term.GetSize(int(out.(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return max(width-len(probeIndent)-1, 0)
}

const probeIndent = "            "

// text is the report for people; empty where the input could not be opened.
func (r *probeReport) text(width int) string {
	if r.Container == "" {
		return ""
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-9s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(&b, "%s\n", printable(r.Source))
	line("input", "%s", r.format())
	line("length", "%s", r.length())
	line("level", "peak %s, RMS %s, loudness %s", decibels(r.PeakDBFS, "dBFS"), decibels(r.RMSDBFS, "dBFS"), decibels(r.LoudnessLUFS, "LUFS"))
	line("clipped", "%s; offset %.4f of full scale", counted(int(r.ClippedSamples), "sample"), r.Offset)
	line("silence", "%.3f s in front, %.3f s behind", r.LeadingSilence, r.TrailingSilence)
	if r.VoicedSeconds > 0 {
		line("voice", "median pitch about %.0f Hz, voiced %.1f s", r.PitchHz, r.VoicedSeconds)
	}
	if p := r.Plan; p != nil {
		line("messages", "%d of %.0f ms, at most %d bytes each, %d in all, %.0f kbit/s in real time", p.Messages, 1000*p.ChunkSeconds, p.MessageBytes, p.Bytes, p.BitsPerSecond/1000)
	}
	for _, row := range r.wave.render(width) {
		fmt.Fprintf(&b, "%s%s\n", probeIndent, row)
	}
	for _, warning := range r.Warnings {
		line("note", "%s", warning)
	}
	for _, suspicion := range r.Suspicions {
		line("suspect", "%s", suspicion)
	}
	line("echocast", "%s", strings.TrimPrefix(r.Verdict, "echocast "))
	return b.String()
}

func (r *probeReport) format() string {
	text := fmt.Sprintf("%s, %s, %v", r.Container, r.Codec, audio.Format{Rate: r.Rate, Channels: r.Channels})
	if r.Bits > 0 {
		text += fmt.Sprintf(", %d bits", r.Bits)
	}
	return text
}

func (r *probeReport) length() string {
	text := fmt.Sprintf("%.3f s, %d frames", r.Seconds, r.Frames)
	switch {
	case r.Container == "raw":
		return text
	case r.DeclaredSeconds == nil:
		return text + "; its header says none"
	case math.Abs(*r.DeclaredSeconds-r.Seconds)*float64(r.Rate) < 0.5:
		return text + ", as its header says"
	}
	return text + fmt.Sprintf("; its header says %.3f s", *r.DeclaredSeconds)
}

func decibels(v *float64, unit string) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprintf("%.1f %s", *v, unit)
}

// suspicions are what the samples make one think. None is certain.
func (m *meters) suspicions(r *probeReport) (all []string) {
	add := func(text string) {
		if text != "" {
			all = append(all, text)
		}
	}
	add(m.suspectOrder())
	add(suspectRate(r))
	add(m.suspectChannels())
	if math.Abs(r.Offset) > 0.02 {
		add(fmt.Sprintf("the samples are off centre by %.1f %% of full scale, which clicks at the ends", 100*r.Offset))
	}
	return all
}

func (m *meters) suspectOrder() string {
	if m.order == nil {
		return ""
	}
	asRead, swapped, shifted := m.order.Ratios()
	switch m.order.Order() {
	case audio.OrderSwapped:
		return fmt.Sprintf("%s the bytes of the samples are swapped (most significant first): roughness %.2f as read, %.2f swapped, where 2 is noise", surely(asRead/swapped), asRead, swapped)
	case audio.OrderShifted:
		return fmt.Sprintf("%s a byte is missing or too many in front: roughness %.2f as read, %.2f a byte further, where 2 is noise", surely(asRead/shifted), asRead, shifted)
	}
	return ""
}

func surely(times float64) string {
	if times > 5 {
		return "very likely"
	}
	return "perhaps"
}

// suspectRate judges by the pitch of the voice. A rate that is wrong by two
// makes a man a woman, which nobody can tell: half of the mistakes pass.
func suspectRate(r *probeReport) string {
	if r.VoicedSeconds < 0.5 || r.PitchHz >= audio.LowestPitch && r.PitchHz <= audio.HighestPitch {
		return ""
	}
	var fit []string
	for _, rate := range []int{8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000} {
		if pitch := r.PitchHz * float64(rate) / float64(r.Rate); pitch >= 85 && pitch <= 255 {
			fit = append(fit, strconv.Itoa(rate))
		}
	}
	text := fmt.Sprintf("perhaps the rate is not %d Hz: a median pitch of %.0f Hz is unusual for speech", r.Rate, r.PitchHz)
	if len(fit) > 0 {
		text += "; it would be usual at " + strings.Join(fit, ", ") + " Hz"
	}
	return text + " (a guess)"
}

func (m *meters) suspectChannels() string {
	all := m.levels.Channels()
	if len(all) != 2 {
		return ""
	}
	names := []string{"left", "right"}
	silent := audio.Amplitude(audio.DefaultSilence)
	for i, c := range all {
		if c.Peak < silent && all[1-i].Peak >= silent {
			return fmt.Sprintf("the %s channel is silent; --channel %s is twice as loud as the mix", names[i], names[1-i])
		}
	}
	const lost = -15 // dB
	loudest := max(all[0].RMS, all[1].RMS)
	if mixed := audio.Decibels(m.sent.Channels()[0].RMS / loudest); loudest >= silent && mixed < lost {
		return "the channels cancel each other when they are mixed; --channel left keeps one"
	}
	return ""
}
