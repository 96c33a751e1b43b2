package terminal

import "os"

// IsNowhere reports whether a stream is the null device, which discards its data. The null
// device also replaces a closed standard output.
func IsNowhere(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && nullErr == nil && os.SameFile(info, null)
}
