package dailytest

import (
	"io"
	"net"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// listeners are the connections over which a page sends its audio.
type listeners []*webrtc.PeerConnection

// listen answers an offer, and passes on the packets that arrive.
func (l *listeners) listen(offer string, voice func(*rtp.Packet)) (answer string, err error) {
	connection, err := newVoiceAPI().NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	*l = append(*l, connection)
	connection.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			voice(packet)
		}
	})
	if err := connection.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer,
		SDP: offer}); err != nil {
		return "", err
	}
	local, err := connection.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(connection)
	if err := connection.SetLocalDescription(local); err != nil {
		return "", err
	}
	<-gathered
	return connection.LocalDescription().SDP, nil
}

func (l *listeners) close() {
	for _, connection := range *l {
		_ = connection.GracefulClose()
	}
}

// newVoiceAPI returns settings that accept what browsers send on this machine.
func newVoiceAPI() *webrtc.API {
	var engine webrtc.SettingEngine
	engine.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
	engine.SetIncludeLoopbackCandidate(true)
	engine.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	engine.SetIPFilter(net.IP.IsLoopback)
	engine.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	var media webrtc.MediaEngine
	if err := media.RegisterDefaultCodecs(); err != nil {
		panic("internal error: " + err.Error()) // they are pion's own
	}
	return webrtc.NewAPI(webrtc.WithSettingEngine(engine), webrtc.WithMediaEngine(&media))
}
