// Package nextversion lets a program play the next version of echocast, for runs of two
// versions side by side in a cluster. Such a program is built with the tag nextversion. It
// stores and sends what this version does not know: a field in each value, and events and
// pieces of audio of another kind.
package nextversion
