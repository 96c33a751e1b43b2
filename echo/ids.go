package echo

import "slices"

// NamedBy reports whether an event with the id eventID may be about the
// utterance with the id id: events name utterances in several forms.
func NamedBy(eventID, id string) bool {
	forms := eventIDs(id)
	return slices.Contains(forms[:], eventID)
}
