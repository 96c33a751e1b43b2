//go:build race

package testwait

// HasRaceDetector reports whether the race detector is on, which makes each step about ten
// times slower.
const HasRaceDetector = true
