package daily

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"echocast/internal/testwait"
	"echocast/rtc"
)

// dialPage dials a listener of package rtc, says hello, and closes the connection
// when it is told to.
const dialPage = `<script type="module">
const connection = new RTCPeerConnection();
const channel = connection.createDataChannel("echocast");
channel.onopen = () => channel.send("hello");
channel.onmessage = () => connection.close();
await connection.setLocalDescription();
await new Promise(resolve => {
  connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
});
const headers = { "Content-Type": "application/sdp", Authorization: "Bearer %s" };
const response = await fetch(%q, { method: "POST", headers, body: connection.localDescription.sdp });
if (!response.headers.get("Location")) throw new Error("it is not told where the session is");
await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
</script>`

// A page of another server on this machine dials a listener with a key, as any page may dial
// the stand-in. Its close() is not a loss.
func TestPageDialsListener(t *testing.T) {
	needBrowser(t)
	const key = "0123456789abcdef"
	l, err := rtc.Listen("127.0.0.1:0", &rtc.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, fmt.Sprintf(dialPage, key, l.URL()))
	}))
	defer site.Close()
	path, err := FindBrowser("")
	if err != nil {
		t.Fatal(err)
	}
	data, err := newProfile(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer data.remove()
	tabs, stop, err := startBrowser(testwait.Context(t), browserOptions(path, data.folder))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if _, err := chromedp.Call(tabs, cdppage.Navigate, cdppage.NavigateParams{URL: site.URL}); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	expect(t, c, "hello")
	if err := c.Send(testwait.Context(t), []byte("close")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Receive(testwait.Context(t)); !errors.Is(err, rtc.ErrPeerGone) || strings.Contains(err.Error(), "0x") {
		t.Errorf("after the page's close(): %v, want %v", err, rtc.ErrPeerGone)
	}
}
