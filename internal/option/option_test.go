package option

import (
	"slices"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

// Names agrees with the method of the library for each kind of flag.
func TestNames(t *testing.T) {
	var text string
	var number int
	var fraction float64
	var wait time.Duration
	var is bool
	for _, flag := range []cli.Flag{
		New(&text, "to", "", "the `ADDRESS`"), New(&number, "count, n", 1, "how many"),
		New(&fraction, "gain, g", 1, "how loud"), New(&wait, "wait, w, W", time.Second, "how long"),
		Bool(&is, "quiet, q", "say nothing"), &cli.StringSliceFlag{Name: "mark", Aliases: []string{"m"}},
	} {
		if got := Names(flag); !slices.Equal(got, flag.Names()) {
			t.Errorf("%v, want %v", got, flag.Names())
		}
	}
}
