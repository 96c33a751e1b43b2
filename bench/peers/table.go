//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

// table returns the result in Markdown. Ratios are relative to the first command on the
// same input: less is better.
func table(cases []*measured, rounds int, hours float64, floor usage) string {
	var b strings.Builder
	b.WriteString("| input | command | CPU | wall | CPU ratio | wall ratio | peak memory |\n")
	b.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: |\n")
	var base *measured
	for _, c := range cases {
		name := ""
		if base == nil || base.input.name != c.input.name {
			base, name = c, c.input.name
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %.2f | %.2f | %.1f MB |\n", name, c.command.name,
			seconds(c.usage.cpu), seconds(c.usage.wall),
			ratio(c.usage.cpu, base.usage.cpu), ratio(c.usage.wall, base.usage.wall), float64(c.usage.peak)/1e6)
	}
	fmt.Fprintf(&b, "\nThe long inputs are %g h of speech. The least of %d rounds counts (of %d runs for the clip).\n",
		hours, rounds, 10*rounds)
	fmt.Fprintf(&b, "A command that does nothing takes %s and has a peak of %.1f MB: less cannot be seen.\n",
		seconds(floor.wall), float64(floor.peak)/1e6)
	return b.String()
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// seconds formats a time with three significant digits.
func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
