//go:build nextversion

package nextversion

import (
	"bytes"
	"fmt"
)

// IsOn says that this program plays the next version.
const IsOn = true

// Fields are the fields that the next version adds to a value.
type Fields struct {
	Next Extra `json:"next_version"`
}

// Extra is a field that only the next version knows. Values of this version lack it.
type Extra struct{}

var extra = []byte(`{"schema":2,"kinds":["later",{"of":null}]}`)

// MarshalJSON returns what the next version stores.
func (Extra) MarshalJSON() ([]byte, error) { return extra, nil }

// UnmarshalJSON fails where another program has changed the field.
func (*Extra) UnmarshalJSON(text []byte) error {
	if !bytes.Equal(text, extra) {
		return fmt.Errorf("the field of the next version is %s", text)
	}
	return nil
}
