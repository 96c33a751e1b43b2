package livekittest

import (
	"net"

	"github.com/pion/stun/v4"
)

// stunServer tells clients their addresses. Without one, a livekit-server names public ones: where
// they do not answer, clients still gather when a test resumes their connection, which is a data
// race in pion/ice (v4.4.9: Agent.gatherServerReflexiveCandidates reads the URLs that
// Agent.UpdateOptions writes).
type stunServer struct {
	conn  *net.UDPConn
	ended chan struct{}
}

func startSTUN() (*stunServer, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	s := &stunServer{conn: conn, ended: make(chan struct{})}
	go s.serve() // until close, which waits for it
	return s, nil
}

func (s *stunServer) address() string { return s.conn.LocalAddr().String() }

// close ends the server, and waits for it.
func (s *stunServer) close() {
	_ = s.conn.Close()
	<-s.ended
}

func (s *stunServer) serve() {
	defer close(s.ended)
	for packet := make([]byte, 1500); ; {
		n, from, err := s.conn.ReadFromUDP(packet)
		if err != nil {
			return
		}
		request := &stun.Message{Raw: packet[:n]}
		if request.Decode() != nil {
			continue
		}
		answer, err := stun.Build(request, stun.BindingSuccess, &stun.XORMappedAddress{IP: from.IP, Port: from.Port},
			stun.Fingerprint)
		if err == nil {
			_, _ = s.conn.WriteToUDP(answer.Raw, from) // a client asks again
		}
	}
}
