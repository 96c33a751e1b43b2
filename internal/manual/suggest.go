package manual

import "strings"

// Closest returns the word that was probably meant, or "" if none is similar. A word of three
// or four letters may have one mistake, and a longer word two.
func Closest(word string, words []string) string {
	best, least := "", 3
	if len(word) < 5 {
		least = 2
	}
	if len(word) < 3 {
		return ""
	}
	for _, w := range words {
		if d := distance(word, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance returns the number of edits that turn b into a. An edit inserts, deletes or
// changes a letter, or swaps it with the next one.
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	var older []int
	previous := make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(previous[j+1]+1, row[j]+1, previous[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, previous = previous, row
	}
	return previous[len(b)]
}
