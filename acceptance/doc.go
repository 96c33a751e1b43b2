// Package acceptance speaks through every kind of room that echocast reaches, by
// the command line and to the stand-in replica, and compares what was heard with
// the audio that was sent. It has tests only.
package acceptance
