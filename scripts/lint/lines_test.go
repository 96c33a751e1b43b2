package main

import (
	"slices"
	"strings"
	"testing"
)

func TestLongLines(t *testing.T) {
	long := strings.Repeat("word ", 30)
	for name, c := range map[string]struct {
		line string
		want []int
	}{
		"code of 120":           {"var x = 1 // " + strings.Repeat("é", 107), nil},
		"code of 121":           {"var x = 1 // " + strings.Repeat("é", 108), []int{3}},
		"a quoted string":       {`var x = "` + long + `"`, []int{3}},
		"a raw string":          {"var x = `" + long + "`", nil},
		"in a raw string":       {"var x = `\n" + long + "\n`", nil},
		"behind a raw string":   {"var x = `a` + \"" + long + `"`, []int{3}},
		"a comment of 100":      {"// " + strings.Repeat("é ", 48) + "e", nil},
		"a comment of 101":      {"\t// " + strings.Repeat("é ", 48) + "e", []int{3}},
		"a word of a comment":   {"// https://" + strings.Repeat("word", 30), nil},
		"output":                {"\t// Output:\n\t// " + long, nil},
		"more than one of them": {"// " + long + "\n\n\t// " + long, []int{3, 5}},
	} {
		if got := longLines([]byte("package x\n\n" + c.line + "\n")); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
