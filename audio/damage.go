package audio

import "fmt"

// decodeSafely runs a decoder that is not ours. Damaged input makes some of them
// panic; that is turned into the error it stands for. Errors it makes wrap
// ErrFormat.
func decodeSafely(name string, decode func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: damaged %s: %v", ErrFormat, name, fault)
		}
	}()
	if err := decode(); err != nil {
		return fmt.Errorf("%w: damaged %s: %v", ErrFormat, name, err)
	}
	return nil
}
