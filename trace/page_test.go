package trace

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func render(t *testing.T, sessions []*Session) string {
	t.Helper()
	var page bytes.Buffer
	if err := (&Page{Title: "session.ndjson", Sessions: sessions}).Render(&page); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// wellFormed checks that every element is closed where it was opened, and
// counts them.
func wellFormed(t *testing.T, page string) map[string]int {
	t.Helper()
	count, open := map[string]int{}, []string{}
	void := map[string]bool{"meta": true}
	tokens := html.NewTokenizer(strings.NewReader(page))
	for {
		kind := tokens.Next()
		token := tokens.Token()
		switch kind {
		case html.ErrorToken:
			if tokens.Err() != io.EOF || len(open) > 0 {
				t.Errorf("%v; not closed: %v", tokens.Err(), open)
			}
			return count
		case html.StartTagToken:
			count[token.Data]++
			if !void[token.Data] {
				open = append(open, token.Data)
			}
			for _, a := range token.Attr {
				audio := token.Data == "audio" && a.Key == "src" && strings.HasPrefix(a.Val, "data:audio/wav;base64,")
				if strings.HasPrefix(a.Key, "on") || a.Key == "src" && !audio || a.Key == "href" {
					t.Errorf("<%s %s=%.80q>", token.Data, a.Key, a.Val)
				}
			}
		case html.EndTagToken:
			if len(open) == 0 || open[len(open)-1] != token.Data {
				t.Fatalf("</%s> closes %v", token.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func TestPage(t *testing.T) {
	page := render(t, []*Session{goldenSession(t)})
	count := wellFormed(t, page)
	if count["svg"] != 4 || count["script"] != 2 || count["section"] != 5 || count["audio"] != 4 {
		t.Errorf("%v", count)
	}
	for _, want := range []string{"2 heard in full, 1 failed, 1 interrupted", "a live source", `class="block dry"`,
		`class="block away"`, `class="ghost"`, `path class="very"`, "the replica joined"} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page", want)
		}
	}
	for _, never := range []string{"http:", "https:", "ZgotmplZ", "NaNs", "Infinity"} {
		if strings.Contains(page, never) {
			t.Errorf("%q is in the page", never)
		}
	}
}

// Content from the network is shown as text only.
func TestHostileTrace(t *testing.T) {
	const evil = `</script><script>alert(1)</script><img src=x onerror=alert(2)>\" onload=alert(3) x='`
	lines := firstLine
	for _, line := range []string{
		`{"kind":"begin","t":0,"id":"%s","text":"%s","rate":24000}`,
		`{"kind":"chunk","t":0.1,"id":"%s","samples":2400,"due":0.1,"peaks":[-99999,99999],"last":true}`,
		`{"kind":"event","t":0.2,"event":{"kind":"started_speaking","type":"%s","role":"%s","inference_id":"%s"}}`,
		`{"kind":"interrupt","t":0.3,"id":"%s","text":"%s"}`,
		`{"kind":"lost","t":0.4,"text":"%s"}`,
		`{"kind":"receipt","t":0.5,"id":"%s","receipt":{"outcome":"%s","source":"%s","error":"%s","spoken_by":"%s",` +
			`"underruns_by":"%s"}}`,
	} {
		lines += strings.ReplaceAll(line, "%s", evil) + "\n"
	}
	lines = strings.Replace(lines, `"t":0,"format"`, fmt.Sprintf(`"t":0,"program":"%s","format"`, evil), 1)
	sessions, err := Sessions(strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if err := (&Page{Title: strings.ReplaceAll(evil, `\`, ""), Sessions: sessions}).Render(&page); err != nil {
		t.Fatal(err)
	}
	count := wellFormed(t, page.String())
	if count["script"] != 2 || count["img"] != 0 {
		t.Errorf("the page has %d scripts and %d images", count["script"], count["img"])
	}
	if !strings.Contains(page.String(), "alert(1)") {
		t.Error("the text is not shown at all")
	}
}

// Traces with little or no content also make pages.
func TestSmallPages(t *testing.T) {
	for _, lines := range []string{
		firstLine,
		firstLine + `{"kind":"chunk","t":0,"id":"a"}` + "\n",
		firstLine + `{"kind":"event","t":0,"event":{"kind":"started_speaking","type":"x","role":"pal"}}` + "\n",
		firstLine + `{"kind":"receipt","t":1,"id":"a"}` + "\n" + firstLine + `{"kind":"lost","t":1}` + "\n",
		firstLine + `{"kind":"chunk","t":1e9,"id":"a","samples":999999999999,"rate":1}` + "\n",
	} {
		sessions, err := Sessions(strings.NewReader(lines))
		if err != nil {
			t.Fatal(err)
		}
		wellFormed(t, render(t, sessions))
	}
	wellFormed(t, render(t, nil))
}

// Half an hour is drawn with a limited number of points.
func TestLongPage(t *testing.T) {
	var lines strings.Builder
	lines.WriteString(firstLine + `{"kind":"begin","t":0,"id":"a","text":"half an hour","rate":24000}` + "\n")
	const chunks = 36000
	for i := range chunks {
		at := float64(i) * 0.05
		late := 0.001
		if i > 0 && i%4001 == 0 {
			late = 0.100
		}
		fmt.Fprintf(&lines, `{"kind":"chunk","t":%.6f,"due":%.6f,"id":"a","position":%d,"samples":1200,"last":%v,`+
			`"peaks":[-9,9,-99,99,-50,50,-2,2,-20,20]}`+"\n", at+late, at, i*1200, i == chunks-1)
	}
	sessions, err := Sessions(strings.NewReader(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	if f := FiguresOf(sessions); f.Chunks != chunks || f.Underruns != 8 || math.Abs(f.Seconds-chunks*0.05) > 1e-6 {
		t.Errorf("%d chunks, %d underruns, %g s", f.Chunks, f.Underruns, f.Seconds)
	}
	page := render(t, sessions)
	if len(page) > 3<<20 {
		t.Errorf("the page has %d bytes", len(page))
	}
	_, very, _ := strings.Cut(page, `path class="very" d="`)
	very, _, _ = strings.Cut(very, `"`)
	if n := strings.Count(very, "M"); n != 8 {
		t.Errorf("%d of 8 late chunks are shown", n)
	}
}
