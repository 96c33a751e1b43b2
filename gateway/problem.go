package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"echocast/audio"
	"echocast/carrier"
	"echocast/echo"
	"echocast/internal/text"
	"echocast/room"
	"echocast/tavus"
)

// Problem is an error of a request in the format of RFC 9457. Kind is the word that the
// program echocast uses for such an error.
type Problem struct {
	Type    string        `json:"type"` // about:blank: Title is the text of the status
	Title   string        `json:"title"`
	Status  int           `json:"status"`
	Detail  string        `json:"detail"`
	Kind    string        `json:"kind"`
	Receipt *echo.Receipt `json:"receipt,omitempty"` // of a failed utterance
}

// retryAfter is when a refused client may ask again, in seconds.
const retryAfter = 5

// kinds maps errors to statuses and words. The first match counts.
var kinds = []struct {
	is     func(error) bool
	status int
	kind   string
}{
	{isType[*InvalidError], http.StatusUnprocessableEntity, "usage"},
	{isType[*http.MaxBytesError], http.StatusRequestEntityTooLarge, "too_long"},
	{isOne(ErrNotFound, errNoUtterance, errNoBot, errNoPath), http.StatusNotFound, "not_found"},
	{isOne(errMethod), http.StatusMethodNotAllowed, "usage"},
	{isOne(errForeign, errHost), http.StatusForbidden, "refused"},
	{isOne(errToken), http.StatusUnauthorized, "refused"},
	{isType[*scopeError], http.StatusForbidden, "refused"},
	{isOne(ErrTokenFull), http.StatusTooManyRequests, "busy"},
	{isOne(ErrFull, ErrLate, ErrDraining, errNoOwner, errNotAcquired, errMoved), http.StatusServiceUnavailable, "busy"},
	{isOne(errNoStore, audio.ErrFFmpegBusy), http.StatusServiceUnavailable, "busy"},
	{isOne(echo.ErrBusy, errHasBot), http.StatusConflict, "busy"},
	{isOne(ErrEnded), http.StatusGone, "ended"},
	{isType[*notStoredError], http.StatusInsufficientStorage, "failure"},
	{isType[*CutError], http.StatusBadRequest, "input"},
	{isType[*audio.LengthError], http.StatusRequestEntityTooLarge, "too_long"},
	{isOne(audio.ErrFormat), http.StatusUnsupportedMediaType, "input"},
	{isOne(audio.ErrEmpty, echo.ErrNoAudio, echo.ErrNoText), http.StatusUnprocessableEntity, "input"},
	{isType[*audio.InputError], http.StatusUnprocessableEntity, "input"},
	{isType[*audio.RateError], http.StatusUnprocessableEntity, "input"},
	{isType[*audio.OptionError], http.StatusUnprocessableEntity, "usage"},
	{isType[*echo.ChunkError], http.StatusUnprocessableEntity, "too_long"},
	{isOne(echo.ErrUnsupported), http.StatusUnprocessableEntity, "usage"},
	{isType[*room.AddressError], http.StatusUnprocessableEntity, "usage"},
	{isType[*room.OptionError], http.StatusUnprocessableEntity, "usage"},
	{isType[*room.UnknownSchemeError], http.StatusUnprocessableEntity, "usage"},
	{isType[*room.CredentialError], http.StatusUnprocessableEntity, "usage"},
	{isOne(echo.ErrNotRejoined), http.StatusBadGateway, "not_rejoined"},
	{isType[*tavus.APIError], http.StatusBadGateway, "refused"},
	{isOne(echo.ErrLost, room.ErrOver), http.StatusBadGateway, "lost"},
	{isOne(echo.ErrNotReady), http.StatusGatewayTimeout, "not_ready"},
	{isType[*room.RefusedError], http.StatusBadGateway, "refused"},
	{isRefusedByBot, http.StatusBadGateway, "refused"},
	{isType[*room.UnreachableError], http.StatusBadGateway, "not_ready"},
	{isType[*carrier.DialError], http.StatusBadGateway, "not_ready"},
	{isType[*tavus.TransportError], http.StatusBadGateway, "not_ready"},
	{isOne(context.Canceled), http.StatusBadRequest, "input"}, // of a request whose client has left, or sends no more
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isRefusedByBot(err error) bool {
	e, ok := errors.AsType[*carrier.DialError](err)
	return ok && e.Status != 0
}

func isOne(all ...error) func(error) bool {
	return func(err error) bool {
		for _, one := range all {
			if errors.Is(err, one) {
				return true
			}
		}
		return false
	}
}

// problemOf describes an error.
func problemOf(err error) Problem {
	p := Problem{Type: "about:blank", Status: http.StatusInternalServerError, Kind: "failure"}
	p.Detail = text.OneLine(err.Error())
	for _, k := range kinds {
		if k.is(err) {
			p.Status, p.Kind = k.status, k.kind
			break
		}
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// because adds the cause to an error, if there is one.
func because(err, cause error) error {
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w (%w)", err, cause)
}

// fail answers with a problem.
func (a *api) fail(w http.ResponseWriter, err error) { a.failWith(w, err, nil) }

func (a *api) failWith(w http.ResponseWriter, err error, receipt *echo.Receipt) {
	p := problemOf(a.gateway.secrets.Secrets().Error(err))
	p.Receipt = receipt
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if errors.Is(err, errMoved) {
		w.Header().Set(movedHeader, "1")
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // an error means that the client has left
}

// CutError says that a body ended before its end: its sender was lost, or sent nothing for too
// long.
type CutError struct{ Err error }

// Error says what happened.
func (e *CutError) Error() string { return fmt.Sprintf("the body was cut off: %v", e.Err) }

// Unwrap returns the cause.
func (e *CutError) Unwrap() error { return e.Err }
