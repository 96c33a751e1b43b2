package voicetest

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The elements of JUnit XML, in the form that CI systems read.
type (
	junitSuites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Time     string   `xml:"time,attr"`
		Suites   []*junitSuite
	}
	junitSuite struct {
		XMLName   xml.Name `xml:"testsuite"`
		Name      string   `xml:"name,attr"`
		Timestamp string   `xml:"timestamp,attr"`
		Tests     int      `xml:"tests,attr"`
		Failures  int      `xml:"failures,attr"`
		Errors    int      `xml:"errors,attr"`
		Time      string   `xml:"time,attr"`
		Cases     []junitCase
		seconds   float64
		file      string
	}
	junitCase struct {
		XMLName    xml.Name      `xml:"testcase"`
		Name       string        `xml:"name,attr"`
		Class      string        `xml:"classname,attr"`
		File       string        `xml:"file,attr"`
		Line       int           `xml:"line,attr"`
		Time       string        `xml:"time,attr"`
		Properties *junitFigures `xml:"properties"`
		Failure    *junitFailure `xml:"failure"`
		Error      *junitFailure `xml:"error"`
		Out        string        `xml:"system-out,omitempty"`
	}
	junitFigures struct {
		All []junitProperty `xml:"property"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes results as JUnit XML, with a suite for each file. It keeps the order of
// the results.
func WriteJUnit(w io.Writer, results []Result) error {
	all := junitSuites{Name: "echocast test"}
	total := 0.0
	for i := range results {
		r := &results[i]
		n := len(all.Suites)
		if n == 0 || all.Suites[n-1].file != r.File {
			start := r.Start.UTC().Format("2006-01-02T15:04:05")
			all.Suites = append(all.Suites, &junitSuite{Name: r.Talk, Timestamp: start, file: r.File})
			n++
		}
		all.Suites[n-1].add(r)
		total += r.Seconds
	}
	for _, suite := range all.Suites {
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Errors += suite.Errors
		suite.Time = seconds(suite.seconds)
	}
	all.Time = seconds(total)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }

// add adds a test case.
func (s *junitSuite) add(r *Result) {
	c := junitCase{Name: r.Name, Class: r.Talk, File: r.File, Line: r.Line, Time: seconds(r.Seconds)}
	for _, f := range figures {
		if value, ok := r.Figures[f.name]; ok {
			c.Properties = cmp.Or(c.Properties, &junitFigures{})
			c.Properties.All = append(c.Properties.All, junitProperty{f.name, fmt.Sprintf("%.3f", value)})
		}
	}
	s.Tests++
	s.seconds += r.Seconds
	switch {
	case r.Error != "":
		c.Error = &junitFailure{Message: r.Error}
		s.Errors++
	case len(r.Failures) > 0:
		c.Failure = &junitFailure{Message: r.Failures[0], Text: strings.Join(r.Failures, "\n")}
		s.Failures++
	}
	if r.Receipt != nil {
		c.Out = r.Receipt.Summary(true)
	}
	s.Cases = append(s.Cases, c)
}

// Summary says how many items of the talks were spoken, and how many of those passed.
func Summary(results []Result, talks []*Talk) string {
	all, passed := 0, 0
	for _, t := range talks {
		all += len(t.Items)
	}
	for _, r := range results {
		if r.Passed {
			passed++
		}
	}
	return fmt.Sprintf("%d of %d spoken: %d passed, %d failed", len(results), all, passed, len(results)-passed)
}

// Text returns the result as a line for people, followed by a line for each failure.
func (r *Result) Text() string {
	var b strings.Builder
	word := "ok"
	if !r.Passed {
		word = "FAIL"
	}
	fmt.Fprintf(&b, "%-4s  %s: %s", word, r.Talk, r.Name)
	if r.Passed && r.Receipt != nil {
		b.WriteString(": " + r.Receipt.Summary(true))
	}
	for _, failure := range r.Failures {
		b.WriteString("\n      " + failure)
	}
	if r.Error != "" {
		b.WriteString("\n      " + r.Error)
	}
	return b.String() + "\n"
}
