package vonage

import (
	"encoding/json"
	"slices"
	"testing"

	"echocast/carrier"
)

// The samples are the same, however the audio is cut into messages.
func FuzzRead(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5}, uint8(3), true)
	f.Add([]byte(`{"action":"clear"}`), uint8(0), false)
	f.Add([]byte(`{"action":"notify","payload":{"a":1}}`), uint8(0), false)
	f.Add([]byte(`{"action":"notify","payload":`), uint8(0), false)
	f.Fuzz(func(t *testing.T, data []byte, cut uint8, isBinary bool) {
		whole, parts := &Leg{rate: 16000}, &Leg{rate: 16000}
		order, err := whole.Read(carrier.Message{IsBinary: isBinary, Data: data})
		if !isBinary {
			if order.HasMark && !json.Valid([]byte(order.Mark)) || err == nil && !order.HasMark && !order.Clear {
				t.Errorf("%q became %+v", data, order)
			}
			return
		}
		at := min(int(cut), len(data))
		first, _ := parts.Read(carrier.Message{IsBinary: true, Data: data[:at]})
		second, _ := parts.Read(carrier.Message{IsBinary: true, Data: data[at:]})
		if got := slices.Concat(first.Audio, second.Audio); !slices.Equal(got, order.Audio) || len(got) != len(data)/2 {
			t.Errorf("%v cut at %d is %v, and whole %v", data, at, got, order.Audio)
		}
	})
}
