package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"
)

// peerTimeout bounds how long another node may take to list its conversations.
const peerTimeout = 2 * time.Second

// listPeers returns the conversations of the other nodes that answer. They check the token of
// the request.
func (a *api) listPeers(r *http.Request) (all []Info) {
	if a.gateway.options.Cluster == nil || r.Header.Get(hopHeader) != "" {
		return nil
	}
	for _, address := range a.gateway.options.Cluster.Peers() {
		all = append(all, a.listPeer(r, address)...)
	}
	return all
}

func (a *api) listPeer(r *http.Request, address string) []Info {
	ctx, cancel := context.WithTimeout(r.Context(), peerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/v1/conversations", nil)
	if err != nil {
		return nil
	}
	request.Header.Set(hopHeader, "1")
	request.Header["Authorization"] = r.Header["Authorization"]
	response, err := a.transport.RoundTrip(request)
	if err != nil {
		return nil // that node is lost, and others take over its conversations
	}
	defer response.Body.Close()
	var list struct{ Conversations []Info }
	if json.NewDecoder(io.LimitReader(response.Body, 16<<20)).Decode(&list) != nil {
		return nil
	}
	return list.Conversations
}
