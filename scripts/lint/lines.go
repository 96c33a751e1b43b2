package main

import (
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// The maximum lengths of lines, in characters.
const (
	longestCode    = 120
	longestComment = 100
)

// checkLines prints the lines of files that are too long. It returns the exit code.
func checkLines(files []string, out io.Writer) (code int) {
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			fmt.Fprintln(out, err)
			return 1
		}
		for _, line := range longLines(source) {
			fmt.Fprintf(out, "%s:%d: the line is too long: at most %d characters of code, %d of a comment\n",
				file, line, longestCode, longestComment)
			code = 1
		}
	}
	return code
}

// longLines returns the numbers of lines that are too long and can be broken. It skips raw
// strings and the output of examples, where a break would change the text, and comments
// that are a single word.
func longLines(source []byte) (long []int) {
	raw, inOutput := rawLines(source), false
	for i, line := range strings.Split(string(source), "\n") {
		text := strings.TrimLeft(line, "\t")
		comment, isComment := strings.CutPrefix(text, "//")
		inOutput = isComment && (inOutput || comment == " Output:")
		switch length := utf8.RuneCountInString(line); {
		case inOutput:
		case isComment && length > longestComment && strings.Contains(strings.TrimSpace(comment), " "),
			!isComment && length > longestCode && !raw[i+1]:
			long = append(long, i+1)
		}
	}
	return long
}

// rawLines returns the lines that may be too long because of a raw string: those that a raw
// string continues on, and those on which a raw string extends over the limit.
func rawLines(source []byte) map[int]bool {
	lines := map[int]bool{}
	set := token.NewFileSet()
	file := set.AddFile("", set.Base(), len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0)
	for {
		pos, kind, text := s.Scan()
		if kind == token.EOF {
			return lines
		}
		if kind != token.STRING || text[0] != '`' {
			continue
		}
		first, last := set.Position(pos), set.Position(pos+token.Pos(len(text))-1)
		for line := first.Line + 1; line < last.Line; line++ {
			lines[line] = true
		}
		if first.Column <= longestCode && (first.Line < last.Line || last.Column > longestCode) {
			lines[first.Line] = true
		}
	}
}
