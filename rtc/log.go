package rtc

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

// pionLog logs pion's messages at slog.LevelDebug. It drops pion's debug and trace
// messages, which come with each packet.
type pionLog struct {
	log *slog.Logger
}

// NewLogger returns the logger of one part of pion, such as "ice".
func (p pionLog) NewLogger(scope string) logging.LeveledLogger {
	return pionLog{p.log.With("by", "pion "+scope)}
}

func (pionLog) Trace(string)                        {}
func (pionLog) Tracef(string, ...any)               {}
func (pionLog) Debug(string)                        {}
func (pionLog) Debugf(string, ...any)               {}
func (p pionLog) Info(text string)                  { p.write("%s", text) }
func (p pionLog) Infof(format string, args ...any)  { p.write(format, args...) }
func (p pionLog) Warn(text string)                  { p.write("%s", text) }
func (p pionLog) Warnf(format string, args ...any)  { p.write(format, args...) }
func (p pionLog) Error(text string)                 { p.write("%s", text) }
func (p pionLog) Errorf(format string, args ...any) { p.write(format, args...) }
func (p pionLog) write(format string, args ...any) {
	if p.log.Enabled(context.Background(), slog.LevelDebug) {
		p.log.Debug(withoutPointers(fmt.Sprintf(format, args...)))
	}
}

// logStates logs the progress of a peer connection: the candidates of this side, the
// states of ICE and DTLS, and the chosen pair of addresses.
func logStates(connection *webrtc.PeerConnection, log *slog.Logger) {
	if !log.Enabled(context.Background(), slog.LevelInfo) {
		return // nobody logs
	}
	connection.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c != nil {
			log.Info("ICE candidate of this side", "candidate", candidate(c))
		}
	})
	connection.OnICEConnectionStateChange(func(state webrtc.ICEConnectionState) {
		log.Info("ICE", "state", state.String())
		if state != webrtc.ICEConnectionStateConnected {
			return
		}
		if pair, err := connection.SCTP().Transport().ICETransport().GetSelectedCandidatePair(); err == nil && pair != nil {
			log.Info("ICE path", "here", candidate(pair.Local), "there", candidate(pair.Remote))
		}
	})
	connection.SCTP().Transport().OnStateChange(func(state webrtc.DTLSTransportState) {
		log.Info("DTLS", "state", state.String())
	})
}

// candidate formats a candidate: udp 192.0.2.1:5000 host.
func candidate(c *webrtc.ICECandidate) string {
	return fmt.Sprintf("%s %s:%d %s", c.Protocol, c.Address, c.Port, c.Typ)
}

// address formats a candidate of package ice in the form of candidate.
func address(c ice.Candidate) string {
	return fmt.Sprintf("%s %s:%d %s", c.NetworkType().NetworkShort(), c.Address(), c.Port(), c.Type())
}
