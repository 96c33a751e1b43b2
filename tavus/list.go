package tavus

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

const (
	pageLength = 50
	mostPages  = 2000
)

// lenientText is a string that the service may send as a number, a boolean or null.
type lenientText string

// UnmarshalJSON never fails. It keeps the JSON text of a value that is not a string.
func (l *lenientText) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil { // null, too
		*l = lenientText(text)
	} else {
		*l = lenientText(raw)
	}
	return nil
}

func firstText(texts ...lenientText) string { return string(cmp.Or(texts...)) }

// list yields all items of a collection, page by page. It ends after an error.
func list[T any](ctx context.Context, c *Client, path string, query url.Values, id func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		seen := map[string]bool{}
		for page := 1; page <= mostPages; page++ {
			var answer struct {
				Data  []T         `json:"data"`
				Total lenientText `json:"total_count"`
			}
			if err := c.do(ctx, call{method: http.MethodGet, path: path, query: pageOf(query, page), isRepeatable: true},
				&answer); err != nil {
				var none T
				yield(none, err)
				return
			}
			fresh := false
			for _, one := range answer.Data {
				if seen[id(one)] {
					continue // items move between pages while they are read
				}
				fresh, seen[id(one)] = true, true
				if !yield(one, nil) {
					return
				}
			}
			total, err := strconv.Atoi(string(answer.Total))
			if !fresh || err == nil && len(seen) >= total {
				return
			}
		}
	}
}

func pageOf(query url.Values, page int) url.Values {
	paged := url.Values{"limit": {strconv.Itoa(pageLength)}, "page": {strconv.Itoa(page)}}
	for name, values := range query {
		paged[name] = values
	}
	return paged
}
