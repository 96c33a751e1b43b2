package join

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"echocast/internal/browsertest"
	"echocast/replica/avatar"
)

// watchPage joins a room with LiveKit's library, and notes when a white picture and
// when a loud sound begin, in milliseconds on one clock.
const watchPage = `<!doctype html><html><body><script src="/livekit-client.js"></script><script>
const claps = [], flashes = [], problems = [];
onerror = m => problems.push(String(m));
async function watch(url, token) {
	const room = new LivekitClient.Room();
	room.on("trackSubscribed", track => {
		const player = track.attach();
		document.body.append(player);
		track.kind === "video" ? see(player) : hear(track.mediaStreamTrack);
	});
	await room.connect(url, token);
}
function see(video) {
	const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
	let white = false;
	const look = (_, frame) => {
		canvas.drawImage(video, 0, 0, 8, 8);
		const is = canvas.getImageData(4, 4, 1, 1).data[1] > 128;
		if (is && !white) flashes.push(frame.expectedDisplayTime);
		white = is;
		window.pictures = (window.pictures || 0) + 1;
		video.requestVideoFrameCallback(look);
	};
	video.requestVideoFrameCallback(look);
}
function hear(track) {
	const context = new AudioContext(), node = context.createScriptProcessor(256, 1, 1);
	let quiet = 1e9;
	node.onaudioprocess = e => {
		const samples = e.inputBuffer.getChannelData(0), shown = context.getOutputTimestamp();
		samples.forEach((v, i) => {
			if (Math.abs(v) < 0.1) { quiet++; return; }
			if (quiet > context.sampleRate / 5) {
				const at = e.playbackTime + (i - 2 * samples.length) / context.sampleRate;
				claps.push(shown.performanceTime + 1000 * (at - shown.contextTime));
			}
			quiet = 0;
		});
	};
	context.createMediaStreamSource(new MediaStream([track])).connect(node).connect(context.destination);
}
</script></body></html>`

// A viewer with LiveKit's own library in Chromium gets sound and picture of the same moment
// together: the sound at most 45 ms before and 125 ms after the picture, as ITU-R BT.1359
// asks.
func TestClapAndFlash(t *testing.T) {
	browsertest.Need(t)
	library := filepath.Join(nodePrograms, "node_modules/livekit-client/dist/livekit-client.umd.js")
	_, err := os.Stat(library)
	need(t, err)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(flashEnv, "1")
	g := joinRoom(t, Options{Program: "exec '" + self + "'"})

	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livekit-client.js" {
			http.ServeFile(w, r, library)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, watchPage)
	}))
	defer pages.Close()
	page := browsertest.Open(t)
	page.Do(chromedp.Navigate(pages.URL))
	browsertest.Evaluate[any](page, fmt.Sprintf("void watch(%q, %q)", g.url, g.token("watcher")))
	page.Until("there are pictures", "window.pictures > 10")
	g.node("sender.mjs", clapFile(t), fmt.Sprint(avatar.Rate))
	page.Until("enough was seen and heard", "claps.length >= 8 && flashes.length >= 8")
	seen, heard := browsertest.Evaluate[[]float64](page, "flashes"), browsertest.Evaluate[[]float64](page, "claps")
	var late []float64 // how much later each clap was heard than the nearest flash was seen
	for _, at := range heard {
		nearest := slices.MinFunc(seen, func(a, b float64) int { return int(math.Abs(a-at) - math.Abs(b-at)) })
		late = append(late, at-nearest)
	}
	slices.Sort(late)
	t.Logf("the sound comes after the picture by %.0f ms", late)
	if median := late[len(late)/2]; median < -45 || median > 125 {
		t.Errorf("the sound comes %.0f ms after the picture", median)
	}
}

// clapFile has a tenth of a second of sound in every second.
func clapFile(t *testing.T) string {
	t.Helper()
	var pcm []byte
	for i := range 10 * avatar.Rate {
		v := 0.0
		if i%avatar.Rate > avatar.Rate/2 && i%avatar.Rate < avatar.Rate*6/10 {
			v = 20000 * math.Sin(2*math.Pi*1000*float64(i)/avatar.Rate)
		}
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(int16(v)))
	}
	file := filepath.Join(t.TempDir(), "claps")
	if err := os.WriteFile(file, pcm, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
