package audio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"echocast/audio"
	"echocast/audio/audiotest"
	"echocast/internal/testwait"
)

const oggFiles = "../testdata/ogg"

func readFile(t testing.TB, folder, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// from16 reads 16-bit samples.
func from16(b []byte) []float32 {
	pcm := make([]float32, len(b)/2)
	for i := range pcm {
		pcm[i] = float32(int16(binary.LittleEndian.Uint16(b[2*i:]))) / 32768
	}
	return pcm
}

// compare says how far got is from want: the largest difference in 16-bit
// steps, and the ratio of signal to difference in dB.
func compare(got, want []float32) (worst, ratio float64) {
	var signal, noise float64
	for i, w := range want {
		d := float64(got[i] - w)
		worst = max(worst, 32768*math.Abs(d))
		signal += float64(w) * float64(w)
		noise += d * d
	}
	return worst, 10 * math.Log10(signal/noise)
}

// decode opens and reads a whole input.
func decode(t testing.TB, r io.Reader, opts *audio.Options) (samples []float32, in *audio.Input, err error) {
	t.Helper()
	in, err = audio.Open(r, opts)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	samples, err = audiotest.Collect(in)
	return samples, in, err
}

func mustDecode(t testing.TB, file []byte) []float32 {
	t.Helper()
	samples, _, err := decode(t, bytes.NewReader(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// libopus and libvorbis are the reference: the length is equal to the sample, and the samples
// as close as fixed point (and in SILK another resampler) allows.
func TestOggAgainstReference(t *testing.T) {
	for _, test := range []struct {
		file  string
		info  audio.Info
		ratio float64 // 0: within one step of 16 bits
	}{
		{"celt_mono_20ms.opus", opusInfo(1), 0},
		{"celt_stereo_2.5ms.opus", opusInfo(2), 0},
		{"hybrid_mono_20ms.opus", opusInfo(1), 49},
		{"hybrid_stereo_10ms.opus", opusInfo(2), 49},
		{"silk_mono_20ms.opus", opusInfo(1), 49},
		{"silk_mono_60ms.opus", opusInfo(1), 49},
		{"silk_stereo_20ms.opus", opusInfo(2), 49},
		{"opusenc_44100hz.opus", opusInfo(1), 49},
		{"vorbis_22050hz_mono.ogg", vorbisInfo(22050, 1), 0},
		{"vorbis_44100hz_stereo.ogg", vorbisInfo(44100, 2), 0},
		{"vorbis_16000hz_6ch.ogg", vorbisInfo(16000, 6), 0},
	} {
		t.Run(test.file, func(t *testing.T) {
			file := readFile(t, oggFiles, test.file)
			want := from16(readFile(t, oggFiles, strings.TrimSuffix(test.file, filepath.Ext(test.file))+".s16"))
			got, in, err := decode(t, bytes.NewReader(file), nil)
			if err != nil || len(in.Warnings()) > 0 || in.Info() != test.info {
				t.Fatalf("%+v, %v, warnings %q; want %+v", in.Info(), err, in.Warnings(), test.info)
			}
			if len(got) != len(want) {
				t.Fatalf("%d samples, want %d", len(got), len(want))
			}
			worst, ratio := compare(got, want)
			if test.ratio == 0 && worst > 1 || ratio < test.ratio {
				t.Errorf("%.2f steps and %.1f dB from the reference", worst, ratio)
			}
			audiotest.TestSource(t, opener(file), got)
			split, _, err := decode(t, iotest.OneByteReader(bytes.NewReader(file)), nil)
			if err != nil || !slices.Equal(split, got) {
				t.Errorf("byte by byte: %v, %d samples, want the same %d", err, len(split), len(got))
			}
		})
	}
}

func opusInfo(channels int) audio.Info {
	return audio.Info{Container: "ogg", Codec: "Opus", Format: audio.Format{Rate: 24000, Channels: channels}, Declared: -1}
}

func vorbisInfo(rate, channels int) audio.Info {
	return audio.Info{Container: "ogg", Codec: "Vorbis", Format: audio.Format{Rate: rate, Channels: channels},
		Declared: -1}
}

// n frames at 48 kHz become half as many at 24 kHz, rounded up.
func TestOpusLengths(t *testing.T) {
	for line := range strings.Lines(string(readFile(t, oggFiles, "lengths.txt"))) {
		var name string
		var samples int
		if _, err := fmt.Sscan(line, &name, &samples); err != nil {
			t.Fatal(err)
		}
		_, in, err := decode(t, bytes.NewReader(readFile(t, oggFiles, name)), nil)
		if err != nil {
			t.Fatal(err)
		}
		frames := int64(samples / in.Format().Channels)
		if want := (frames + 1) / 2; in.Frames() != want {
			t.Errorf("%s: %d frames, opusdec gives %d at twice the rate", name, in.Frames(), frames)
		}
	}
}

// oggTestPage is a page as the tests write it.
type oggTestPage struct {
	flags   byte
	granule int64
	serial  uint32
	number  uint32
	sizes   []byte
	body    []byte
}

const (
	continued = 1
	begins    = 2
	ends      = 4
)

func (p oggTestPage) bytes() []byte {
	b := append([]byte("OggS\x00"), p.flags)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.granule))
	b = binary.LittleEndian.AppendUint32(b, p.serial)
	b = binary.LittleEndian.AppendUint32(b, p.number)
	b = append(b, 0, 0, 0, 0, byte(len(p.sizes)))
	b = append(append(b, p.sizes...), p.body...)
	binary.LittleEndian.PutUint32(b[22:], oggSum(b))
	return b
}

// oggSum is the checksum, bit by bit.
func oggSum(page []byte) (sum uint32) {
	for _, b := range page {
		sum ^= uint32(b) << 24
		for range 8 {
			sum = sum<<1 ^ 0x04c11db7*(sum>>31)
		}
	}
	return sum
}

// add puts a packet on the page.
func (p *oggTestPage) add(packet []byte) {
	for n := len(packet); ; n -= 255 {
		p.sizes = append(p.sizes, byte(min(n, 255)))
		if n < 255 {
			break
		}
	}
	p.body = append(p.body, packet...)
}

func onePage(flags byte, granule int64, number uint32, packets ...[]byte) oggTestPage {
	p := oggTestPage{flags: flags, granule: granule, serial: 7, number: number}
	for _, packet := range packets {
		p.add(packet)
	}
	return p
}

func joinPages(pages ...oggTestPage) (file []byte) {
	for _, p := range pages {
		file = append(file, p.bytes()...)
	}
	return file
}

// parsePages reads a file of the tests.
func parsePages(file []byte) (pages []oggTestPage) {
	for len(file) > 0 {
		n := int(file[26])
		p := oggTestPage{flags: file[5], granule: int64(binary.LittleEndian.Uint64(file[6:])), sizes: file[27 : 27+n],
			serial: binary.LittleEndian.Uint32(file[14:]), number: binary.LittleEndian.Uint32(file[18:])}
		size := 0
		for _, s := range p.sizes {
			size += int(s)
		}
		p.body = file[27+n : 27+n+size]
		pages, file = append(pages, p), file[27+n+size:]
	}
	return pages
}

// packetsOf gives all packets, and the position at the end.
func packetsOf(pages []oggTestPage) (packets [][]byte, end int64) {
	var packet []byte
	for _, p := range pages {
		body := p.body
		for _, s := range p.sizes {
			packet, body = append(packet, body[:s]...), body[s:]
			if s < 255 {
				packets, packet = append(packets, packet), nil
			}
		}
		end = p.granule
	}
	return packets, end
}

// repage writes the packets of sound again, with the given number of segments a page, so that
// packets share pages or span them. Only the last page states a position.
func repage(file []byte, headers, segments int) []byte {
	packets, end := packetsOf(parsePages(file))
	pages := []oggTestPage{onePage(begins, 0, 0, packets[0]), onePage(0, 0, 1, packets[1:headers]...)}
	var all oggTestPage
	for _, p := range packets[headers:] {
		all.add(p)
	}
	for number := uint32(2); len(all.sizes) > 0; number++ {
		p := oggTestPage{granule: -1, serial: 7, number: number, sizes: all.sizes[:min(segments, len(all.sizes))]}
		if last := pages[len(pages)-1].sizes; last[len(last)-1] == 255 {
			p.flags = continued
		}
		size := 0
		for _, s := range p.sizes {
			size += int(s)
		}
		p.body = all.body[:size]
		all.sizes, all.body = all.sizes[len(p.sizes):], all.body[size:]
		pages = append(pages, p)
	}
	last := &pages[len(pages)-1]
	last.flags, last.granule = last.flags|ends, end
	return joinPages(pages...)
}

func TestOggPacketsAcrossPages(t *testing.T) {
	for name, headers := range map[string]int{"celt_mono_20ms.opus": 2, "opusenc_44100hz.opus": 2,
		"vorbis_16000hz_6ch.ogg": 3} {
		file := readFile(t, oggFiles, name)
		want := mustDecode(t, file)
		for _, segments := range []int{1, 2, 7, 255} {
			got, in, err := decode(t, bytes.NewReader(repage(file, headers, segments)), nil)
			if err != nil || len(in.Warnings()) > 0 || !slices.Equal(got, want) {
				t.Errorf("%s, %d segments a page: %d samples, %v, want the same %d", name, segments, len(got), err, len(want))
			}
		}
	}
}

// Chained streams give the same samples as separate ones.
func TestOggChained(t *testing.T) {
	mono, other := readFile(t, oggFiles, "celt_mono_20ms.opus"), readFile(t, oggFiles, "silk_mono_20ms.opus")
	vorbis := readFile(t, oggFiles, "vorbis_22050hz_mono.ogg")
	for name, parts := range map[string][][]byte{"Opus": {mono, other, mono}, "Vorbis": {vorbis, vorbis}} {
		var want []float32
		for _, p := range parts {
			want = append(want, mustDecode(t, p)...)
		}
		audiotest.TestSource(t, opener(bytes.Join(parts, nil)), want)
		t.Log(name, len(want), "samples")
	}
	for name, frames := range map[string]int{"celt_stereo_2.5ms.opus": 0, "vorbis_22050hz_mono.ogg": 0} {
		second := readFile(t, oggFiles, name)
		after, in, err := decode(t, bytes.NewReader(second), nil)
		if err != nil {
			t.Fatal(err)
		}
		frames = int(float64(len(after)/in.Format().Channels)*24000/float64(in.Format().Rate) + 0.5)
		first := mustDecode(t, mono)
		got, in, err := decode(t, bytes.NewReader(append(slices.Clone(mono), second...)), nil)
		if err != nil || len(got) != len(first)+frames || !slices.Equal(got[:len(first)], first) ||
			len(in.Warnings()) != 1 || !strings.Contains(in.Warnings()[0],
			"follows 24000 Hz mono; it is converted to 24000 Hz mono") {
			t.Errorf("%s behind: %d samples, %v, %q; want %d", name, len(got), err, in.Warnings(), len(first)+frames)
		}
	}
}

// A stream without its end is decoded as far as it goes, with a warning; so is a stream with
// other bytes after its end.
func TestOggMissingEndAndTrailingBytes(t *testing.T) {
	file := readFile(t, oggFiles, "celt_mono_20ms.opus")
	want := mustDecode(t, file)
	pages := parsePages(file)
	pages[len(pages)-1].flags &^= ends
	endless := joinPages(pages...)
	all := mustDecode(t, endless)
	if len(all) <= len(want) || !slices.Equal(all[:len(want)], want) {
		t.Fatalf("without an end mark: %d samples, want the %d and the padding", len(all), len(want))
	}
	for name, c := range map[string]struct {
		file    []byte
		want    []float32
		warning string
	}{
		"no end mark": {endless, all, "no end mark"},
		"another stream follows": {append(slices.Clone(endless), file...), append(slices.Clone(all), want...),
			"no end mark and another one follows"},
		"an ID3v1 tag follows": {append(slices.Clone(file), "TAGxxxxx"...), want, "no Ogg page and left out"},
	} {
		got, in, err := decode(t, bytes.NewReader(c.file), nil)
		if err != nil || !slices.Equal(got, c.want) || len(in.Warnings()) != 1 ||
			!strings.Contains(in.Warnings()[0], c.warning) {
			t.Errorf("%s: %d samples, %v, %q; want %d and %q", name, len(got), err, in.Warnings(), len(c.want), c.warning)
		}
	}
}

// Wherever the input is cut, only the audio before the cut is heard.
func TestOggCutAnywhere(t *testing.T) {
	for _, name := range []string{"celt_stereo_2.5ms.opus", "vorbis_22050hz_mono.ogg"} {
		file := readFile(t, oggFiles, name)
		pages := parsePages(file)
		pages[len(pages)-1].flags &^= ends
		want := mustDecode(t, joinPages(pages...))
		for cut := 1; cut < len(file); cut += 37 {
			got, in, err := decode(t, bytes.NewReader(file[:cut]), nil)
			switch {
			case in == nil && !errors.Is(err, audio.ErrFormat):
				t.Fatalf("%s cut at %d: %v, want ErrFormat", name, cut, err)
			case in == nil:
			case err != nil || len(in.Warnings()) == 0:
				t.Fatalf("%s cut at %d: %v, warnings %q; want a warning", name, cut, err, in.Warnings())
			case len(got) > len(want) || !slices.Equal(got, want[:len(got)]):
				t.Fatalf("%s cut at %d: the %d samples are none of those wanted", name, cut, len(got))
			}
		}
	}
}

// Each page has a checksum: no flipped bit becomes sound.
func TestOggDamageAnywhere(t *testing.T) {
	for _, name := range []string{"celt_mono_20ms.opus", "vorbis_22050hz_mono.ogg"} {
		file := readFile(t, oggFiles, name)
		want := mustDecode(t, file)
		for at := 4; at < len(file); at += 41 {
			broken := slices.Clone(file)
			broken[at] ^= 0x10
			got, _, err := decode(t, bytes.NewReader(broken), nil)
			if !errors.Is(err, audio.ErrFormat) && err != nil || strings.Contains(fmt.Sprint(err), "\n") {
				t.Fatalf("%s, byte %d: %v", name, at, err)
			}
			if len(got) >= len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Fatalf("%s, byte %d: %d samples, %v; want fewer than %d, and the same", name, at, len(got), err, len(want))
			}
		}
	}
}

// If a page is missing, only the packets with a part on it are left out.
func TestOggMissingPage(t *testing.T) {
	pages := parsePages(repage(readFile(t, oggFiles, "vorbis_16000hz_6ch.ogg"), 3, 1)) // packets of several pages
	for missing := 2; missing < len(pages); missing++ {
		var kept [][]byte
		begin := 2
		for i := 2; i < len(pages); i++ {
			if last := pages[i].sizes; last[len(last)-1] == 255 {
				continue
			}
			if packets, _ := packetsOf(pages[begin : i+1]); missing < begin || missing > i {
				kept = append(kept, packets...)
			}
			begin = i + 1
		}
		want := mustDecode(t, joinPages(pages[0], pages[1], onePage(0, -1, 2, kept...)))
		file := joinPages(slices.Delete(slices.Clone(pages), missing, missing+1)...)
		got, in, err := decode(t, bytes.NewReader(file), nil)
		if err != nil || len(in.Warnings()) == 0 || !slices.Equal(got[:min(len(got), len(want))],
			want[:min(len(got), len(want))]) {
			t.Errorf("without page %d: %d samples, %v, %q; want %d and a warning", missing, len(got), err,
				in.Warnings(), len(want))
		}
		if pad := len(want) - len(got); pad < 0 || pad > 0 && missing < len(pages)-2 {
			t.Errorf("without page %d: %d samples, want %d", missing, len(got), len(want))
		}
	}
}

// A packet that does not continue the one before is left out.
func TestOggCutPacket(t *testing.T) {
	packets, _ := packetsOf(parsePages(readFile(t, oggFiles, "celt_mono_20ms.opus")))
	cut := onePage(0, -1, 2, packets[2:4]...)
	cut.sizes, cut.body = append(cut.sizes, 255), append(cut.body, make([]byte, 255)...)
	begin := []oggTestPage{onePage(begins, 0, 0, packets[0]), onePage(0, 0, 1, packets[1])}
	rest := onePage(0, -1, 3, packets[4:6]...)
	want := mustDecode(t, joinPages(append(begin, onePage(0, -1, 2, packets[2:4]...), rest)...))
	got, in, err := decode(t, bytes.NewReader(joinPages(append(begin, cut, rest)...)), nil)
	if err != nil || !slices.Equal(got, want) || !strings.Contains(in.Warnings()[0], "cut off") {
		t.Errorf("%d samples, %v, %q; want %d", len(got), err, in.Warnings(), len(want))
	}
}

// endlessPacket is one packet that never ends, page by page.
type endlessPacket struct {
	page oggTestPage
	rest []byte
}

func (e *endlessPacket) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		e.rest = e.page.bytes()
		e.page.flags = continued
		e.page.number++
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// A packet without an end is neither kept nor read without limit.
func TestOggEndlessPacket(t *testing.T) {
	if testwait.HasRaceDetector {
		t.Skip("64 MB are read where there is no race detector")
	}
	packets, _ := packetsOf(parsePages(readFile(t, oggFiles, "celt_mono_20ms.opus")))
	begin := joinPages(onePage(begins, 0, 0, packets[0]), onePage(0, 0, 1, packets[1]), onePage(0, 960, 2, packets[2]))
	endless := &endlessPacket{page: oggTestPage{granule: -1, serial: 7, number: 3, sizes: bytes.Repeat([]byte{255}, 255),
		body: make([]byte, 255*255)}}
	in, err := audio.Open(io.MultiReader(bytes.NewReader(begin), endless), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := audiotest.Collect(in)
	if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "longer than 64 MB") || len(got) != 420 {
		t.Errorf("%d samples, %v", len(got), err)
	}
}

// The samples to skip at both ends are left out exactly.
func TestOpusTrimming(t *testing.T) {
	packets, _ := packetsOf(parsePages(readFile(t, oggFiles, "celt_mono_20ms.opus")))
	stream := func(skip uint16, first, last int64, flags byte) []byte {
		head := slices.Clone(packets[0])
		binary.LittleEndian.PutUint16(head[10:], skip)
		return joinPages(onePage(begins, 0, 0, head), onePage(0, 0, 1, packets[1]),
			onePage(0, first, 2, packets[2:5]...), onePage(flags, last, 3, packets[5:8]...))
	}
	const packet, page = 960, 2880 // on the clock
	all := mustDecode(t, stream(0, page, 2*page, ends))
	if len(all) != page {
		t.Fatalf("six packets of 20 ms gave %d frames", len(all))
	}
	for _, c := range []struct {
		name        string
		skip        uint16
		first, last int64
		flags       byte
		from, to    int
	}{
		{"pre-skip", 312, page, 2 * page, ends, 156, page},
		{"odd pre-skip", 313, page, 2 * page, ends, 157, page},
		{"pre-skip over packets", 2*packet + 2, page, 2 * page, ends, packet + 1, page},
		{"even end", 0, page, 2*page - 100, ends, 0, page - 50},
		{"odd end", 0, page, 2*page - 101, ends, 0, page - 50},
		{"end of fewer packets", 0, page, page + 10, ends, 0, page/2 + 5},
		{"end before the begin", 0, page, 10, ends, 0, page / 2},
		{"end beyond the packets", 0, page, 9 * page, ends, 0, page},
		{"no end mark", 0, page, page + 10, 0, 0, page},
		{"joined late", 312, 1000*page + page, 1000*page + 2*page - 100, ends, 156, page - 50},
		{"first position too low", 0, page - 100, 2*page - 100, ends, 0, page - 50},
		{"no position on the first page", 0, -1, 2*page - 100, ends, 0, page - 50},
	} {
		got, _, err := decode(t, bytes.NewReader(stream(c.skip, c.first, c.last, c.flags)), nil)
		if err != nil || !slices.Equal(got, all[c.from:c.to]) {
			t.Errorf("%s: %d frames, %v; want those from %d to %d", c.name, len(got), err, c.from, c.to)
		}
	}
	single := joinPages(onePage(begins, 0, 0, packets[0]), onePage(0, 0, 1, packets[1]),
		onePage(ends, 1000, 2, packets[2:5]...))
	if got := mustDecode(t, single); len(got) != 440 { // 120 to 1000
		t.Errorf("one page of sound: %d frames, want 440", len(got))
	}
}

func TestOpusGain(t *testing.T) {
	file := readFile(t, oggFiles, "celt_mono_20ms.opus")
	want := mustDecode(t, file)
	pages := parsePages(file)
	halved := math.Round(-20 * math.Log10(2) * 256)
	binary.LittleEndian.PutUint16(pages[0].body[16:], uint16(int16(halved)))
	got := mustDecode(t, joinPages(pages...))
	for i := range want {
		if math.Abs(float64(got[i]-want[i]/2)) > 1e-3 {
			t.Fatalf("sample %d is %v, want half of %v", i, got[i], want[i])
		}
	}
}

// Comments may contain pictures: they are skipped, not stored.
func TestOggLongComments(t *testing.T) {
	for name, headers := range map[string]int{"celt_mono_20ms.opus": 2, "vorbis_22050hz_mono.ogg": 3} {
		file := readFile(t, oggFiles, name)
		packets, end := packetsOf(parsePages(file))
		comments := append(slices.Clone(packets[1]), make([]byte, 300_000)...)
		packets[1] = comments
		var all oggTestPage
		for _, p := range packets[1:headers] {
			all.add(p)
		}
		pages := []oggTestPage{onePage(begins, 0, 0, packets[0])}
		for number := uint32(1); len(all.sizes) > 0; number++ {
			n := min(255, len(all.sizes))
			size := 0
			for _, s := range all.sizes[:n] {
				size += int(s)
			}
			pages = append(pages, oggTestPage{min(byte(number)-1, continued), -1, 7, number, all.sizes[:n], all.body[:size]})
			all.sizes, all.body = all.sizes[n:], all.body[size:]
		}
		pages = append(pages, onePage(ends, end, uint32(len(pages)), packets[headers:]...))
		got, in, err := decode(t, bytes.NewReader(joinPages(pages...)), nil)
		if err != nil || len(in.Warnings()) > 0 || !slices.Equal(got, mustDecode(t, file)) {
			t.Errorf("%s: %d samples, %v", name, len(got), err)
		}
	}
}

func TestOggRefuses(t *testing.T) {
	opus := parsePages(readFile(t, oggFiles, "celt_mono_20ms.opus"))
	vorbis := parsePages(readFile(t, oggFiles, "vorbis_22050hz_mono.ogg"))
	head := func(at int, v byte) []byte {
		pages := slices.Clone(opus)
		pages[0].body = slices.Clone(pages[0].body)
		pages[0].body[at] = v
		return joinPages(pages...)
	}
	vorbisHead := func(at int, v byte) []byte {
		pages := slices.Clone(vorbis)
		pages[0].body = slices.Clone(pages[0].body)
		pages[0].body[at] = v
		return joinPages(pages...)
	}
	first := func(id string) []byte {
		return joinPages(onePage(begins, 0, 0, append([]byte(id), make([]byte, 40)...)))
	}
	for i := range opus {
		opus[i].serial = 7
	}
	beside := onePage(begins, 0, 0, []byte("\x80theora"))
	beside.serial = 8
	stranger := opus[2]
	stranger.serial = 8
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"Speex":             {first("Speex   "), "Speex"},
		"Ogg FLAC":          {first("\x7fFLAC"), "FLAC"},
		"Theora":            {first("\x80theora"), "Theora video"},
		"Skeleton":          {first("fishead\x00"), "Skeleton"},
		"unknown":           {first("????????"), "unknown data"},
		"multiplexed":       {joinPages(opus[0], beside, opus[1]), "several streams at once: Opus and Theora video"},
		"interleaved":       {joinPages(opus[0], opus[1], stranger), "several streams at once"},
		"joined late":       {joinPages(opus[1:]...), "joined in its middle"},
		"two first packets": {joinPages(onePage(begins, 0, 0, opus[0].body, opus[0].body)), "2 packets instead of one"},
		"headers only":      {joinPages(opus[0]), "ends inside its headers"},
		"cut first page":    {joinPages(opus[0])[:40], "inside the first page"},
		"no page": {append(joinPages(opus[0]), bytes.Repeat([]byte{1}, 100)...),
			"no Ogg page where one should be, at byte 47"},
		"mapping family 1":   {head(18, 1), "mapping family 1"},
		"5 channels":         {head(9, 5), "5 channels"},
		"no channels":        {head(9, 0), "0 channels"},
		"Opus version 16":    {head(8, 16), "version 16"},
		"short Opus header":  {joinPages(onePage(begins, 0, 0, opus[0].body[:18])), "18 bytes instead of 19"},
		"no Opus comments":   {joinPages(opus[0], onePage(0, 0, 1, []byte("OpusTag"))), "lacks its comments"},
		"negative position":  {joinPages(opus[0], onePage(0, -2, 1, opus[1].body)), "claims the position -2"},
		"Vorbis version 1":   {vorbisHead(7, 1), "header is damaged"},
		"9 channels":         {vorbisHead(11, 9), "9 channels"},
		"rate of 2 GHz":      {vorbisHead(15, 0x80), "Hz is outside"},
		"blocks of 2^15":     {vorbisHead(28, 0xF6), "blocks of 2^6 and 2^15"},
		"blocks reversed":    {vorbisHead(28, 0x78), "blocks of 2^8 and 2^7"},
		"no Vorbis comments": {joinPages(vorbis[0], onePage(0, 0, 1, []byte("\x05vorbis"))), "lacks its header packet 3"},
		"no Vorbis setup": {joinPages(vorbis[0], onePage(0, 0, 1, []byte("\x03vorbis"), []byte("\x03vorbis"))),
			"lacks its header packet 5"},
		"empty Vorbis setup": {joinPages(vorbis[0], onePage(0, 0, 1, []byte("\x03vorbis"), []byte("\x05vorbis"))),
			"setup is damaged"},
		"long Vorbis setup": {joinPages(vorbis[0],
			onePage(0, 0, 1, []byte("\x03vorbis"), append([]byte("\x05vorbis"), make([]byte, 60000)...))), "setup is damaged"},
	} {
		_, _, err := decode(t, bytes.NewReader(c.file), nil)
		if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line that speaks of %q", name, err, c.want)
		}
	}
}

// Audio that begins on the last page of the headers, as some writers do, gives the same
// samples as audio on separate pages.
func TestOggAudioOnHeaderPage(t *testing.T) {
	for name, headers := range map[string]int{"celt_stereo_2.5ms.opus": 2, "vorbis_44100hz_stereo.ogg": 3} {
		file := readFile(t, oggFiles, name)
		packets, end := packetsOf(parsePages(file))
		const early = 8 // packets
		want := mustDecode(t, joinPages(onePage(begins, 0, 0, packets[0]), onePage(0, 0, 1, packets[1:headers]...),
			onePage(0, 1000, 2, packets[headers:headers+early]...), onePage(ends, end, 3, packets[headers+early:]...)))
		got := mustDecode(t, joinPages(onePage(begins, 0, 0, packets[0]), onePage(0, 1000, 1, packets[1:headers+early]...),
			onePage(ends, end, 2, packets[headers+early:]...)))
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("%s: %d samples, want %d", name, len(got), len(want))
		}
		all := mustDecode(t, joinPages(onePage(begins, 0, 0, packets[0]), onePage(ends, end, 1, packets[1:]...)))
		if !slices.Equal(all, mustDecode(t, file)) {
			t.Errorf("%s on one page: %d samples", name, len(all))
		}
	}
}

// Vorbis that was cut out of a stream begins before position 0, inside a packet.
func TestVorbisNegativeStartPosition(t *testing.T) {
	file := readFile(t, oggFiles, "vorbis_44100hz_stereo.ogg")
	packets, end := packetsOf(parsePages(file))
	want := mustDecode(t, file)
	const early, first = 100, 8
	pages := []oggTestPage{onePage(begins, 0, 0, packets[0]), onePage(0, 0, 1, packets[1:3]...),
		onePage(0, 0, 2, packets[3:3+first]...)}
	frames := int64(len(mustDecode(t, joinPages(pages...)))) // none: all lies before 0
	if frames != 0 {
		t.Fatalf("%d samples before position 0", frames)
	}
	pages[2].granule = -1
	frames = int64(len(mustDecode(t, joinPages(pages...))) / 2)
	for _, offset := range []int64{0, early, -early} {
		pages[2].granule = frames - offset
		got := mustDecode(t, joinPages(append(slices.Clone(pages), onePage(ends, end-offset, 3, packets[3+first:]...))...))
		if !slices.Equal(got, want[2*max(0, offset):]) {
			t.Errorf("%d early: %d samples, want %d", offset, len(got), len(want)-2*int(max(0, offset)))
		}
	}
}

// Bad packets with correct checksums are errors at their positions.
func TestOggBadPackets(t *testing.T) {
	opus, _ := packetsOf(parsePages(readFile(t, oggFiles, "celt_mono_20ms.opus")))
	for name, bad := range map[string][]byte{
		"no count":      {0xFB},
		"count 0":       {0xFB, 0},
		"200 ms":        {0xFB, 10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		"odd halves":    {0xF9, 1, 2, 3},
		"1276 bytes":    append([]byte{0xF8}, make([]byte, 1276)...),
		"150000 bytes":  make([]byte, 150_000),
		"cut padding":   {0xFB, 0x41, 0xFF},
		"no first size": {0xFA},
	} {
		file := joinPages(onePage(begins, 0, 0, opus[0]), onePage(0, 0, 1, opus[1]), onePage(0, 1920, 2, opus[2], opus[3]))
		var all oggTestPage
		all.add(bad)
		for number := uint32(3); len(all.sizes) > 0; number++ {
			n := min(255, len(all.sizes))
			size := 0
			for _, s := range all.sizes[:n] {
				size += int(s)
			}
			file = append(file, oggTestPage{min(byte(number)-3, continued), 2880, 7, number, all.sizes[:n],
				all.body[:size]}.bytes()...)
			all.sizes, all.body = all.sizes[n:], all.body[size:]
		}
		got, _, err := decode(t, bytes.NewReader(file), nil)
		var where *audio.InputError
		if !errors.Is(err, audio.ErrFormat) || !errors.As(err, &where) || len(got) != 960-60 {
			t.Errorf("%s: %d samples, %v; want 900 and an error", name, len(got), err)
		}
	}
}

func TestOggBroken(t *testing.T) {
	broke := errors.New("the cable is out")
	for _, name := range []string{"celt_stereo_2.5ms.opus", "vorbis_22050hz_mono.ogg"} {
		file := readFile(t, oggFiles, name)
		want := mustDecode(t, file)
		for _, at := range []int{3, 20, 60, 100} {
			if _, err := audio.Open(io.MultiReader(bytes.NewReader(file[:at]), iotest.ErrReader(broke)),
				nil); !errors.Is(err, broke) {
				t.Errorf("%s broken after %d bytes: %v, want %v", name, at, err, broke)
			}
		}
		in, err := audio.Open(io.MultiReader(bytes.NewReader(file[:len(file)-1]), iotest.ErrReader(broke)), nil)
		if err != nil {
			t.Fatal(err)
		}
		audiotest.TestBroken(t, in, want, broke)
	}
}

// live opens an input that is still being written, of which come has arrived, and reads
// frames from it. No step may wait for bytes behind those.
func live(t *testing.T, come []byte, opts *audio.Options, frames int) []float32 {
	t.Helper()
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := writer.Write(come)
		done <- err
	}()
	in, err := audio.Open(reader, opts)
	if err != nil {
		t.Fatal(err)
	}
	var got []float32
	buf := make([]float32, 4096*in.Format().Channels)
	for len(got) < frames*in.Format().Channels {
		n, err := in.ReadSamples(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:n]...)
	}
	if err := testwait.Receive(t, done); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	in.Close()
	return got
}

func TestOggStreamsFromPipe(t *testing.T) {
	for name, headers := range map[string]int{"celt_mono_20ms.opus": 2, "vorbis_22050hz_mono.ogg": 3} {
		file := readFile(t, oggFiles, name)
		want := mustDecode(t, file)
		pages := parsePages(file)
		packets, _ := packetsOf(pages)
		begin := joinPages(onePage(begins, 0, 0, packets[0]), onePage(0, 0, 1, packets[1:headers]...),
			onePage(0, -1, 2, packets[headers:headers+4]...))
		frames := len(mustDecode(t, begin))
		if got := live(t, begin, nil, frames); !slices.Equal(got, want[:frames]) {
			t.Errorf("%s: the first %d samples differ", name, frames)
		}
	}
}

// Any bytes end in samples or in a one-line error. The checksums are corrected first, since a
// changed byte would not pass them.
func FuzzOgg(f *testing.F) {
	names, _ := filepath.Glob(oggFiles + "/*.o*")
	for _, name := range names {
		f.Add(readFile(f, oggFiles, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if len(file) > 1<<16 {
			t.Skip("long inputs add nothing")
		}
		in, err := audio.Open(bytes.NewReader(checksummed(file)), &audio.Options{Encoding: "ogg"})
		if err != nil {
			singleLine(t, err)
			return
		}
		defer in.Close()
		readFuzzed(t, in)
	})
}

// checksummed puts the checksum of each page right.
func checksummed(file []byte) []byte {
	file = slices.Clone(file)
	for rest := file; len(rest) >= 27; {
		end := 27 + int(rest[26])
		for _, size := range rest[27:min(end, len(rest))] {
			end += int(size)
		}
		if end > len(rest) {
			break
		}
		clear(rest[22:26])
		binary.LittleEndian.PutUint32(rest[22:], oggSum(rest[:end]))
		rest = rest[end:]
	}
	return file
}

func singleLine(t *testing.T, err error) {
	t.Helper()
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("an error of several lines: %q", err)
	}
}

// readFuzzed reads to the end, or until it is clear that samples keep coming.
func readFuzzed(t *testing.T, in *audio.Input) {
	t.Helper()
	buf := make([]float32, 1024*in.Format().Channels)
	for in.Frames() < 1<<22 {
		n, err := in.ReadSamples(buf)
		for _, v := range buf[:n] {
			if !(v >= -16 && v <= 16) {
				t.Fatalf("a sample of %v", v)
			}
		}
		if err != nil {
			singleLine(t, err)
			return
		}
	}
}

// Zeros between pages and an empty packet at the end do not break the stream.
func TestOggPadding(t *testing.T) {
	file := readFile(t, oggFiles, "celt_mono_20ms.opus")
	want := mustDecode(t, file)
	var padded []byte
	for page := range bytes.SplitSeq(file, []byte("OggS")) {
		if len(page) > 0 {
			padded = append(append(append(padded, "OggS"...), page...), make([]byte, 500)...)
		}
	}
	got, in, err := decode(t, bytes.NewReader(padded), nil)
	if err != nil || !slices.Equal(got, want) || len(in.Warnings()) != 1 {
		t.Errorf("padded: %d samples, %v, %q; want %d", len(got), err, in.Warnings(), len(want))
	}
	opus, _ := packetsOf(parsePages(file))
	ends := joinPages(onePage(begins, 0, 0, opus[0]), onePage(0, 0, 1, opus[1]), onePage(0, 1920, 2, opus[2], opus[3]),
		onePage(4, 1920, 3, nil))
	got, in, err = decode(t, bytes.NewReader(ends), nil)
	if err != nil || len(got) != 960-60 || len(in.Warnings()) > 0 {
		t.Errorf("an empty last packet: %d samples, %v, %q", len(got), err, in.Warnings())
	}
}
