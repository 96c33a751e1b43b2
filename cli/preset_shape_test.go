package cli_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"echocast/internal/testwait"
	"echocast/preset"
)

// delivery is the audio as a vendor sends it, and its length in samples at 24 kHz.
type delivery struct {
	bytes   []byte
	samples int
}

// Each preset decodes bytes in its vendor's format, and the tone in them keeps its pitch,
// however the bytes are split.
func TestPresetsReadWhatVendorsSend(t *testing.T) {
	t.Parallel()
	for _, p := range preset.All() {
		t.Run(p.Name, func(t *testing.T) {
			sent := deliveryOf(t, p)
			var first []byte
			for _, step := range []int{1 << 20, 7, 1}[:min(3, 1+testwait.Trials(10))] {
				r := run(t, &stepReader{sent.bytes, step}, "encode", "--preset", p.Name, "-")
				got := audioOf(messages(t, r.stdout))
				if r.code != 0 || len(got) != 2*sent.samples {
					t.Fatalf("by %d bytes: code %d, %d samples, want %d: %s", step, r.code, len(got)/2, sent.samples, r.stderr)
				}
				if first == nil {
					first = got
				}
				if !bytes.Equal(got, first) {
					t.Errorf("by %d bytes: the audio differs", step)
				}
			}
			if p.Name != "elevenlabs-mp3" && p.Name != "polly-mp3" { // those hold speech
				checkTone(t, first)
			}
		})
	}
}

const toneHz = 440

// tonePCM is 0.3 s of a tone as s16le.
func tonePCM(rate int) []byte {
	var pcm []byte
	for i := range rate * 3 / 10 {
		v := int16(9000 * math.Sin(2*math.Pi*toneHz*float64(i)/float64(rate)))
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(v))
	}
	return pcm
}

// checkTone counts the zero crossings: another rate would be another pitch.
func checkTone(t *testing.T, pcm []byte) {
	t.Helper()
	crossings, last := 0, int16(0)
	for i := 0; i < len(pcm); i += 2 {
		v := int16(binary.LittleEndian.Uint16(pcm[i:]))
		if v > 1000 && last < 0 {
			crossings++
		}
		if v > 1000 || v < -1000 {
			last = v
		}
	}
	if want := toneHz * len(pcm) / 2 / 24000; crossings < want-3 || crossings > want+3 {
		t.Errorf("%d waves, want %d", crossings, want)
	}
}

func deliveryOf(t *testing.T, p preset.Preset) delivery {
	t.Helper()
	file := func(name string, samples int) delivery {
		data, err := os.ReadFile("../testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return delivery{data, samples}
	}
	switch p.Name {
	case "elevenlabs-mp3":
		return file("mp3/speech_44100hz_joint_cbr160.mp3", 7200)
	case "polly-mp3":
		return file("mp3/speech_22050hz_mono_cbr64.mp3", 14400)
	case "say":
		return delivery{aiff(22050, tonePCM(22050)), 7200}
	}
	if !p.Raw() {
		return delivery{headed(p.Name), 7200}
	}
	pcm := recode(p.Encoding, tonePCM(p.Rate))
	if p.Payload != "" {
		pcm = inJSON(p, pcm)
	}
	return delivery{pcm, 7200}
}

// headed returns a WAV with the quirks of its source.
func headed(name string) []byte {
	pcm := tonePCM(24000)
	head, _ := wav(24000, 1, 0)
	claim := func(size uint32, pcm []byte) []byte {
		file := append(bytes.Clone(head[:40]), binary.LittleEndian.AppendUint32(nil, size)...)
		return append(file, pcm...)
	}
	switch name {
	case "openai-wav":
		return claim(0xffffffff, pcm)
	case "espeak":
		return claim(0x7ffff000, pcm)
	case "pocket":
		return claim(2000000000, pcm)
	case "groq": // a header longer than 44 bytes
		return append(append(bytes.Clone(head[:36]), "LIST\x1a\x00\x00\x00INFOISFT\x0e\x00\x00\x00Lavf60.16.100\x00"...),
			claim(0xffffffff, pcm)[36:]...)
	case "inworld-linear16": // a header in every chunk
		var file []byte
		for len(pcm) > 0 {
			n := min(2000, len(pcm))
			file = append(file, claim(uint32(n), pcm[:n])...)
			pcm = pcm[n:]
		}
		return file
	}
	return claim(uint32(len(pcm)), pcm)
}

// aiff returns what macOS say writes: big-endian samples and an 80-bit rate.
func aiff(rate int, pcm []byte) []byte {
	for i := 0; i < len(pcm); i += 2 {
		pcm[i], pcm[i+1] = pcm[i+1], pcm[i]
	}
	comm := binary.BigEndian.AppendUint16(nil, 1)
	comm = binary.BigEndian.AppendUint32(comm, uint32(len(pcm)/2))
	comm = binary.BigEndian.AppendUint16(comm, 16)
	comm = binary.BigEndian.AppendUint16(comm, 16383+15)
	comm = binary.BigEndian.AppendUint64(comm, uint64(rate)<<48)
	body := append([]byte("AIFFCOMM\x00\x00\x00\x12"), comm...)
	body = append(body, "SSND"...)
	body = binary.BigEndian.AppendUint32(body, uint32(len(pcm)+8))
	body = append(append(body, make([]byte, 8)...), pcm...)
	return append(binary.BigEndian.AppendUint32([]byte("FORM"), uint32(len(body))), body...)
}

// recode turns s16le into another encoding.
func recode(encoding string, pcm []byte) (out []byte) {
	for i := 0; i < len(pcm); i += 2 {
		v := int16(binary.LittleEndian.Uint16(pcm[i:]))
		switch encoding {
		case "f32le":
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(float32(v)/32768))
		case "mulaw":
			out = append(out, mulaw(v))
		case "alaw":
			out = append(out, alaw(v))
		default:
			out = append(out, pcm[i], pcm[i+1])
		}
	}
	return out
}

// mulaw is ITU-T G.711's mu-law: the sign, the position of the highest bit of
// the magnitude plus 33 (in 14 bits), and the four bits behind it, inverted.
func mulaw(v int16) byte {
	sign, magnitude := byte(0), int(v)>>2
	if v < 0 {
		sign, magnitude = 0x80, -int(v)>>2
	}
	magnitude = min(magnitude+33, 8191)
	segment := 0
	for magnitude>>(segment+6) > 0 {
		segment++
	}
	return ^(sign | byte(segment<<4) | byte(magnitude>>(segment+1)&0xf))
}

// alaw is ITU-T G.711's A-law: as mu-law in 13 bits without the offset, every
// other bit inverted.
func alaw(v int16) byte {
	sign, magnitude := byte(0x80), int(v)>>4
	if v < 0 {
		sign, magnitude = 0, -int(v)>>4
	}
	segment := 0
	for magnitude>>(segment+5) > 0 {
		segment++
	}
	code := byte(magnitude)
	if segment > 0 {
		code = byte(segment<<4) | byte(magnitude>>(segment)&0xf)
	}
	return (sign | code) ^ 0x55
}

// inJSON puts the samples into the field of lines, in pieces of an odd length,
// between lines of other events.
func inJSON(p preset.Preset, pcm []byte) []byte {
	var lines strings.Builder
	lines.WriteString(`{"type":"session.created"}` + "\n")
	for len(pcm) > 0 {
		n := min(1001, len(pcm))
		text := base64.StdEncoding.EncodeToString(pcm[:n])
		if p.Payload == "hex" {
			text = hex.EncodeToString(pcm[:n])
		}
		object := fmt.Sprintf("%q", text)
		path := strings.Split(p.Field, ".")
		for i := len(path) - 1; i >= 0; i-- {
			object = fmt.Sprintf("{%q:%s}", path[i], object)
		}
		lines.WriteString(object + "\n")
		pcm = pcm[n:]
	}
	lines.WriteString(`{"type":"response.done"}` + "\n")
	return []byte(lines.String())
}
