package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// peerTimeout bounds how long another node may take to list its conversations.
const peerTimeout = 2 * time.Second

// listedConversation is one conversation of the list.
type listedConversation struct {
	id   string
	info json.RawMessage
}

// listAll returns the conversations of this node and of the other nodes that answer.
func (a *api) listAll(r *http.Request) (all []listedConversation) {
	for _, c := range a.gateway.List() {
		all = append(all, listedConversation{c.ID, fmtJSON(c.Info())})
	}
	return append(all, a.listPeers(r)...)
}

// listPeers returns the conversations of the other nodes that answer. They check the token of
// the request.
func (a *api) listPeers(r *http.Request) (all []listedConversation) {
	if a.gateway.options.Cluster == nil || r.Header.Get(hopHeader) != "" {
		return nil
	}
	addresses := a.gateway.options.Cluster.Peers()
	answers := make([][]listedConversation, len(addresses))
	var asking sync.WaitGroup
	for i, address := range addresses {
		asking.Go(func() { answers[i] = a.listPeer(r, address) })
	}
	asking.Wait()
	return slices.Concat(answers...)
}

func (a *api) listPeer(r *http.Request, address string) (all []listedConversation) {
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
	var list struct{ Conversations []json.RawMessage }
	if json.NewDecoder(io.LimitReader(response.Body, 16<<20)).Decode(&list) != nil {
		return nil
	}
	for _, info := range list.Conversations {
		var its struct{ ID string }
		if json.Unmarshal(info, &its) == nil {
			all = append(all, listedConversation{its.ID, info})
		}
	}
	return all
}
