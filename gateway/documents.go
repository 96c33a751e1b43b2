package gateway

import (
	_ "embed" // the documents
	"net/http"
)

// The documents that describe the requests and the WebSocket. A test checks them against
// the routes and the types.
var (
	//go:embed openapi.yaml
	openAPIDocument []byte
	//go:embed asyncapi.yaml
	asyncAPIDocument []byte
)

func (a *api) openAPI(w http.ResponseWriter, _ *http.Request) error {
	return document(w, openAPIDocument)
}

func (a *api) asyncAPI(w http.ResponseWriter, _ *http.Request) error {
	return document(w, asyncAPIDocument)
}

func document(w http.ResponseWriter, text []byte) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(text) // an error means that the client has left
	return nil
}
