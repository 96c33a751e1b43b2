package cli

import (
	"fmt"
	"maps"
	"slices"

	"echocast/internal/outfile"
)

// checkOutputs refuses files that cannot be written, by the options that name
// them, before anything is spoken: two options for one file, a file that is an
// input, and one that cannot be opened. Empty names are not written.
func checkOutputs(files map[string]string, inputs []string) error {
	flags := slices.Sorted(maps.Keys(files))
	for i, flag := range flags {
		name := files[flag]
		if err := checkWritten(flag, name, inputs); err != nil {
			return err
		}
		for _, other := range flags[:i] {
			if outfile.Same(name, files[other]) {
				return usagef("%s %s and %s %s are one file: name two", other, files[other], flag, name)
			}
		}
	}
	for _, flag := range flags {
		if name := files[flag]; name != "" {
			if err := outfile.Check(name); err != nil {
				return fmt.Errorf("%s %s: %w", flag, name, plain(err))
			}
		}
	}
	return nil
}
