//go:build (linux || darwin) && (amd64 || arm64) && (cgo || daily_core)

package core

import (
	"bytes"
	"fmt"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	"echocast/rtc/daily"
)

// Supported reports whether this program can open shared libraries.
const Supported = true

// clientVersion is the release of the SDK by whose header this code was written. Clients
// report it to Daily's server.
const clientVersion = "0.22.0"

// The structs that the API takes by value, field by field as in daily_core.h.
type (
	contextDelegate struct{ _ uintptr }

	webrtcDelegate struct {
		_                    uintptr // pointer
		getUserMedia         uintptr
		_                    uintptr // getDisplayMedia
		getEnumeratedDevices uintptr
		createAudioDevice    uintptr
		_                    uintptr // createVideoDecoders
		_                    uintptr // createVideoEncoders
		_                    uintptr // createAudioDecoders
		_                    uintptr // createAudioEncoders
		getAudioDevice       uintptr
		setAudioDevice       uintptr
		_                    uintptr // getIgnoredNetworks
	}

	aboutClient struct{ library, version, _, _, app uintptr } // the empty fields: the system and its version

	clientDelegate struct{ pointer, onEvent, onAudio, _ uintptr } // the empty field: onVideo
)

// audioData is NativeAudioData of daily_core.h.
type audioData struct {
	bits, rate       uint32
	channels, frames uintptr
	samples          *byte
}

// functions are the functions of the API that are used.
type functions struct {
	setLogLevel         func(level int32)
	createDeviceManager func() uintptr
	createAudioDevice   func(manager, queues uintptr) uintptr
	getUserMedia        func(manager, factory, signaling, worker, network, constraints uintptr) uintptr
	enumerateDevices    func(manager uintptr) uintptr
	createContext       func(contextDelegate, webrtcDelegate, aboutClient)
	createClient        func() uintptr
	destroyClient       func(client uintptr)
	setDelegate         func(client uintptr, delegate clientDelegate)
	setUserName         func(client uintptr, id uint64, name string)
	updateProfiles      func(client uintptr, id uint64, profiles string)
	join                func(client uintptr, id uint64, url string, token *byte, settings string)
	leave               func(client uintptr, id uint64)
	sendAppMessage      func(client uintptr, id uint64, message string, participant *byte)
	setAudioRenderer    func(client uintptr, id, renderer uint64, participant, source string, rate uint32)
	participants        func(client uintptr) uintptr
	freeString          func(text uintptr) // nil before release 0.23
	deviceManager       uintptr
	duplicate           func(text string) uintptr // C's strdup
}

// The library is loaded once: its context belongs to the process.
var (
	loading    sync.Mutex
	loaded     *functions
	loadedPath string
)

// Load opens the library. A process has one: a second call returns the first, and fails if its
// path is different.
func Load(path string) (daily.Library, error) {
	loading.Lock()
	defer loading.Unlock()
	if loaded != nil && path != loadedPath {
		return nil, fmt.Errorf("%s: %s is loaded already", path, loadedPath)
	}
	if loaded == nil {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		f.begin()
		loaded, loadedPath = f, path
	}
	return &library{loaded}, nil
}

// open looks up the functions of the library.
func open(path string) (*functions, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("no shared library of this system: %v", err)
	}
	f := &functions{}
	for name, function := range map[string]any{
		"set_log_level":                              &f.setLogLevel,
		"context_create_device_manager":              &f.createDeviceManager,
		"context_create_audio_device_module":         &f.createAudioDevice,
		"context_device_manager_get_user_media":      &f.getUserMedia,
		"context_device_manager_enumerated_devices":  &f.enumerateDevices,
		"context_create":                             &f.createContext,
		"call_client_create":                         &f.createClient,
		"call_client_destroy":                        &f.destroyClient,
		"call_client_set_delegate":                   &f.setDelegate,
		"call_client_set_user_name":                  &f.setUserName,
		"call_client_update_subscription_profiles":   &f.updateProfiles,
		"call_client_join":                           &f.join,
		"call_client_leave":                          &f.leave,
		"call_client_send_app_message":               &f.sendAppMessage,
		"call_client_set_participant_audio_renderer": &f.setAudioRenderer,
		"call_client_participants":                   &f.participants,
	} {
		symbol, err := purego.Dlsym(handle, "daily_core_"+name)
		if err != nil {
			return nil, fmt.Errorf("%s is not Daily's library, of release 0.20 or later: it has no daily_core_%s", path, name)
		}
		purego.RegisterFunc(function, symbol)
	}
	symbol, err := purego.Dlsym(purego.RTLD_DEFAULT, "strdup")
	if err != nil {
		return nil, fmt.Errorf("no C library: %v", err)
	}
	purego.RegisterFunc(&f.duplicate, symbol)
	if symbol, err := purego.Dlsym(handle, "daily_core_string_free"); err == nil {
		purego.RegisterFunc(&f.freeString, symbol)
	}
	return f, nil
}

// begin creates the context of the process. The library's own device manager answers what it
// asks of the platform. Strings that it may keep are C strings that are never freed. The audio
// device in use has no name.
func (f *functions) begin() {
	f.setLogLevel(0)
	f.deviceManager = f.createDeviceManager()
	noDevice := f.duplicate("")
	f.createContext(contextDelegate{}, webrtcDelegate{
		getUserMedia: purego.NewCallback(func(_, factory, signaling, worker, network, constraints uintptr) uintptr {
			return f.getUserMedia(f.deviceManager, factory, signaling, worker, network, constraints)
		}),
		getEnumeratedDevices: purego.NewCallback(func(uintptr) uintptr { return f.enumerateDevices(f.deviceManager) }),
		createAudioDevice: purego.NewCallback(func(_,
			queues uintptr) uintptr {
			return f.createAudioDevice(f.deviceManager, queues)
		}),
		getAudioDevice: purego.NewCallback(func(uintptr) uintptr { return noDevice }),
		setAudioDevice: purego.NewCallback(func(_, _ uintptr) uintptr { return 0 }),
	}, aboutClient{library: f.duplicate("daily-core-sdk"), version: f.duplicate(clientVersion),
		app: f.duplicate("echocast")})
}

// orNull returns a C string for the time of one call, or NULL for an empty string.
func orNull(s string) *byte {
	if s == "" {
		return nil
	}
	return unsafe.SliceData(append([]byte(s), 0))
}

type library struct{ *functions }

// The clients by number. The library passes the number to callbacks. All clients share the
// callbacks, since purego never frees any.
var (
	clientsLock sync.RWMutex
	clients     = map[uintptr]*client{}
	lastClient  uintptr

	callbacks = sync.OnceValues(func() (event, audio uintptr) {
		return purego.NewCallback(onEvent), purego.NewCallback(onAudio)
	})
)

// client is a call client of the library.
type client struct {
	*functions
	pointer uintptr
	number  uintptr

	calling sync.RWMutex // held for reading during a call
	isFreed bool         // guarded by calling

	mu       sync.RWMutex // held for reading during a callback
	isClosed bool
	event    func([]byte)
	sound    func(daily.Sound)
}

// Open creates a client.
func (l *library) Open(event func([]byte), sound func(daily.Sound)) (daily.Client, error) {
	c := &client{functions: l.functions, event: event, sound: sound}
	clientsLock.Lock()
	lastClient++
	c.number = lastClient
	clients[c.number] = c
	clientsLock.Unlock()
	c.pointer = c.createClient()
	if c.pointer == 0 {
		c.forget()
		return nil, fmt.Errorf("%w: Daily's library makes no client", daily.ErrLost)
	}
	onEvent, onAudio := callbacks()
	c.setDelegate(c.pointer, clientDelegate{pointer: c.number, onEvent: onEvent, onAudio: onAudio})
	return c, nil
}

// called returns the client of a callback, which ends with done. It returns nil if the client
// is closed.
func called(number uintptr) (c *client, done func()) {
	clientsLock.RLock()
	c = clients[number]
	clientsLock.RUnlock()
	if c == nil {
		return nil, nil
	}
	c.mu.RLock()
	if c.isClosed {
		c.mu.RUnlock()
		return nil, nil
	}
	return c, c.mu.RUnlock
}

func onEvent(number uintptr, object *byte, length int) uintptr {
	if c, done := called(number); c != nil {
		defer done()
		c.event(unsafe.Slice(object, length))
	}
	return 0
}

func onAudio(number uintptr, renderer uint64, _ *byte, data *audioData) uintptr {
	c, done := called(number)
	if c == nil {
		return 0
	}
	defer done()
	if data.bits == 16 {
		pcm := unsafe.Slice(data.samples, 2*data.channels*data.frames)
		c.sound(daily.Sound{Renderer: renderer, Rate: int(data.rate), Channels: int(data.channels), PCM: pcm})
	}
	return 0
}

// do makes a call, unless the client is freed: a loss may free it just before a message is
// sent.
func (c *client) do(call func()) {
	c.calling.RLock()
	defer c.calling.RUnlock()
	if !c.isFreed {
		call()
	}
}

func (c *client) SetUserName(id uint64, name string) {
	c.do(func() { c.setUserName(c.pointer, id, name) })
}

func (c *client) UpdateSubscriptionProfiles(id uint64, profiles string) {
	c.do(func() { c.updateProfiles(c.pointer, id, profiles) })
}

func (c *client) Join(id uint64, url, token, settings string) {
	c.do(func() { c.join(c.pointer, id, url, orNull(token), settings) })
}

func (c *client) SendAppMessage(id uint64, message, to string) {
	c.do(func() { c.sendAppMessage(c.pointer, id, message, orNull(to)) })
}

func (c *client) SetParticipantAudioRenderer(id, renderer uint64, participant string, rate uint32) {
	c.do(func() { c.setAudioRenderer(c.pointer, id, renderer, participant, "microphone", rate) })
}

func (c *client) Leave(id uint64) { c.do(func() { c.leave(c.pointer, id) }) }

func (c *client) Participants() (list []byte) {
	c.do(func() { list = c.list() })
	return list
}

// list returns the participants in JSON, for Participants.
func (c *client) list() []byte {
	pointer := c.participants(c.pointer)
	if pointer == 0 {
		return nil
	}
	if c.freeString != nil {
		defer c.freeString(pointer)
	}
	return fromC(pointer)
}

// fromC copies a C string.
func fromC(pointer uintptr) []byte {
	start := *(**byte)(unsafe.Pointer(&pointer)) // memory of the library; Go does not move it
	length := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(start), length)) != 0 {
		length++
	}
	return bytes.Clone(unsafe.Slice(start, length))
}

// Close must not be called during a callback of c. Later calls of c do nothing.
func (c *client) Close() {
	c.calling.Lock()
	again := c.isFreed
	c.isFreed = true
	c.calling.Unlock()
	if again {
		return
	}
	c.destroyClient(c.pointer)
	c.mu.Lock()
	c.isClosed = true
	c.mu.Unlock()
	c.forget()
}

func (c *client) forget() {
	clientsLock.Lock()
	defer clientsLock.Unlock()
	delete(clients, c.number)
}
