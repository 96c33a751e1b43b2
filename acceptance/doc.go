// Package acceptance speaks through every kind of room that echocast reaches, by
// the command line and to the stand-in replica, and compares what was heard with
// what was to be said. It has tests only.
package acceptance
