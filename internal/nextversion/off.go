//go:build !nextversion

package nextversion

// IsOn says that this program plays the next version.
const IsOn = false

// Fields are the fields that the next version adds to a value: none in this version.
type Fields struct{}
