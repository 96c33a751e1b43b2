package tavus

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// PAL is a speaker of conversations. Tavus formerly called it a persona.
type PAL struct {
	ID       string `json:"pal_id"`
	Name     string `json:"pal_name,omitempty"`
	Face     string `json:"default_face_id,omitempty"`
	Pipeline string `json:"pipeline_mode,omitempty"` // "echo" or "full"
	// Transport is the kind of its rooms: "livekit", or empty for Daily.
	Transport string `json:"transport_type,omitempty"`
	// Microphone is set if the PAL echoes an audio track instead of messages.
	Microphone bool   `json:"microphone,omitempty"`
	Created    string `json:"created_at,omitempty"`
}

// UnmarshalJSON reads a PAL with new or old field names.
func (p *PAL) UnmarshalJSON(text []byte) error {
	var wire struct {
		PAL         lenientText `json:"pal_id"`
		Persona     lenientText `json:"persona_id"`
		Name        lenientText `json:"pal_name"`
		PersonaName lenientText `json:"persona_name"`
		Face        lenientText `json:"default_face_id"`
		Replica     lenientText `json:"default_replica_id"`
		Pipeline    lenientText `json:"pipeline_mode"`
		Created     lenientText `json:"created_at"`
		Layers      struct {
			Transport palTransport `json:"transport"`
		} `json:"layers"`
	}
	if err := json.Unmarshal(text, &wire); err != nil {
		return err
	}
	*p = PAL{
		ID: firstText(wire.PAL, wire.Persona), Name: firstText(wire.Name, wire.PersonaName),
		Face:     firstText(wire.Face, wire.Replica),
		Pipeline: string(wire.Pipeline), Created: string(wire.Created),
		Transport: string(wire.Layers.Transport.Type), Microphone: wire.Layers.Transport.Input.Microphone.Enabled == "true",
	}
	return nil
}

// palTransport is the part of a PAL's layers that configures its rooms.
type palTransport struct {
	Type  lenientText `json:"transport_type"`
	Input struct {
		Microphone struct {
			Enabled lenientText `json:"isEnabled"`
		} `json:"microphone"`
	} `json:"input_settings"`
}

// StreamPAL is a stock PAL of Tavus that echoes an audio track.
const StreamPAL = "pipecat-stream"

// Face is the appearance of a PAL. Tavus formerly called it a replica.
type Face struct {
	ID      string `json:"face_id"`
	Name    string `json:"face_name,omitempty"`
	Status  string `json:"status,omitempty"`
	Created string `json:"created_at,omitempty"`
}

// UnmarshalJSON reads a face with new or old field names.
func (f *Face) UnmarshalJSON(text []byte) error {
	var wire struct {
		Face        lenientText `json:"face_id"`
		Replica     lenientText `json:"replica_id"`
		Name        lenientText `json:"face_name"`
		ReplicaName lenientText `json:"replica_name"`
		Status      lenientText `json:"status"`
		Created     lenientText `json:"created_at"`
	}
	if err := json.Unmarshal(text, &wire); err != nil {
		return err
	}
	*f = Face{ID: firstText(wire.Face, wire.Replica), Name: firstText(wire.Name, wire.ReplicaName),
		Status: string(wire.Status), Created: string(wire.Created)}
	return nil
}

// EchoPAL describes a PAL in echo mode, for CreatePAL.
type EchoPAL struct {
	Face string // the id of its default face; required
	Name string // empty: "echocast echo"
	// Microphone makes the PAL echo a participant's audio track instead of messages. The
	// setting is in use but not documented.
	Microphone bool
	// LiveKit makes a PAL for conversations in a LiveKit room.
	LiveKit bool
}

func (p EchoPAL) body(name, face string) map[string]any {
	body := map[string]any{name: cmp.Or(p.Name, "echocast echo"), face: p.Face, "pipeline_mode": "echo"}
	transport := map[string]any{}
	if p.LiveKit {
		transport["transport_type"] = "livekit"
	}
	if p.Microphone {
		transport["input_settings"] = map[string]any{"microphone": map[string]any{"isEnabled": true}}
	}
	if len(transport) > 0 {
		body["layers"] = map[string]any{"transport": transport}
	}
	return body
}

// CreatePAL creates a PAL in echo mode. A PAL costs nothing. If CreatePAL gets no answer,
// the PAL may exist.
func (c *Client) CreatePAL(ctx context.Context, pal EchoPAL) (PAL, error) {
	var made PAL
	if _, err := item(facesPath, pal.Face); err != nil {
		return made, err
	}
	create := func(path, name, face string) error {
		if err := c.do(ctx, call{method: http.MethodPost, path: path, body: pal.body(name, face)}, &made); err != nil {
			return err
		}
		if made.ID == "" {
			return &APIError{Method: http.MethodPost, Path: path, Status: http.StatusOK, Message: "the answer has no pal_id"}
		}
		return nil
	}
	err := create(palsPath, "pal_name", "default_face_id")
	return made, withOldNames(err, func() error { return create(personasPath, "persona_name", "default_replica_id") })
}

// PAL reads the PAL with this id.
func (c *Client) PAL(ctx context.Context, id string) (PAL, error) {
	return get[PAL](ctx, c, id, palsPath, personasPath)
}

// PALs lists the PALs of the account.
func (c *Client) PALs(ctx context.Context) iter.Seq2[PAL, error] {
	return listEither(ctx, c, palsPath, personasPath, func(p PAL) string { return p.ID })
}

// DeletePAL deletes a PAL.
func (c *Client) DeletePAL(ctx context.Context, id string) error {
	remove := func(collection string) error {
		path, err := item(collection, id)
		if err != nil {
			return err
		}
		return c.do(ctx, call{method: http.MethodDelete, path: path, isRepeatable: true}, nil)
	}
	return withOldNames(remove(palsPath), func() error { return remove(personasPath) })
}

// Face reads the face with this id.
func (c *Client) Face(ctx context.Context, id string) (Face, error) {
	return get[Face](ctx, c, id, facesPath, replicasPath)
}

// Faces lists the faces of the account.
func (c *Client) Faces(ctx context.Context) iter.Seq2[Face, error] {
	return listEither(ctx, c, facesPath, replicasPath, func(f Face) string { return f.ID })
}

// get reads one object from the collection under its new or its old name.
func get[T any](ctx context.Context, c *Client, id, newer, older string) (one T, err error) {
	from := func(collection string) error {
		path, err := item(collection, id)
		if err != nil {
			return err
		}
		return c.do(ctx, call{method: http.MethodGet, path: path, isRepeatable: true}, &one)
	}
	return one, withOldNames(from(newer), func() error { return from(older) })
}

// listEither lists the collection under its new name, or under its old name if the service
// does not know the new one.
func listEither[T any](ctx context.Context, c *Client, newer, older string, id func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for one, err := range list(ctx, c, newer, nil, id) {
			if lacksPath(err) {
				list(ctx, c, older, nil, id)(yield)
				return
			}
			if !yield(one, err) {
				return
			}
		}
	}
}
