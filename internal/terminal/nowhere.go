package terminal

import "os"

// IsNowhere reports whether what is written to a stream is lost: it is the null
// device, which also stands for a standard output that is closed.
func IsNowhere(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && nullErr == nil && os.SameFile(info, null)
}
