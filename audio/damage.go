package audio

import "fmt"

// decodeSafely runs a decoder of another library, and returns a panic as an error. Some of
// these decoders panic on damaged input. All its errors wrap ErrFormat.
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
