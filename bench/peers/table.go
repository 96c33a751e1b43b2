//go:build linux

package main

import (
	"fmt"
	"strings"
	"time"
)

// table returns the result in Markdown. Ratios are relative to the first command on the
// same input. Smaller is better.
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
		used := c.least()
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %.1f MB |\n", name, c.command.name,
			seconds(used.cpu), seconds(used.wall), ratio(c.ratios(base, func(u usage) time.Duration { return u.cpu })),
			ratio(c.ratios(base, func(u usage) time.Duration { return u.wall })), float64(used.peak)/1e6)
	}
	fmt.Fprintf(&b, "\nThe long inputs are %g h of speech. The least of %d rounds counts (of %d runs for the clip); "+
		"beside a ratio\nare those of single rounds, from the least to the greatest.\n", hours, rounds, 10*rounds)
	fmt.Fprintf(&b, "A command that does nothing takes %s and has a peak of %.1f MB: less cannot be seen.\n",
		seconds(floor.wall), float64(floor.peak)/1e6)
	return b.String()
}

// ratio formats a ratio, with the smallest and largest of the rounds if they differ.
func ratio(all, least, greatest float64) string {
	if fmt.Sprintf("%.2f", least) == fmt.Sprintf("%.2f", greatest) {
		return fmt.Sprintf("%.2f", all)
	}
	return fmt.Sprintf("%.2f (%.2f to %.2f)", all, least, greatest)
}

// seconds formats a time with three significant digits.
func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
