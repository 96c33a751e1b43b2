// A stand-in for the call machine that daily-js loads from Daily: own code, made
// from the messages that the public daily-js sends and expects. It joins the
// room of package dailytest over a WebSocket. What it does not know it does not
// ignore: it complains to the room, which fails the test, and ends the call.
//
// daily-js runs it with Function(), so in strict mode and in the page's world.
(() => {
  const known = {
    envelope: ["action", "what", "from", "callClientId", "callbackStamp"],
    "join-meeting": ["properties", "preloadCache"],
    "app-msg": ["data", "to"],
    "update-participant": ["id", "properties"],
    "leave-meeting": [],
    "get-network-topology": [],
    "transmit-log": ["level", "code", "stats", "message"],
    properties: ["url", "userName", "token", "audioSource", "videoSource", "startAudioOff", "startVideoOff",
      "subscribeToTracksAutomatically", "dailyConfig", "dailyJsVersion", "aboutClient", "layout", "inputSettings"],
  };

  for (const id of window._daily.pendings.splice(0)) start(id);

  function start(id) {
    const state = { local: { public: {}, streams: {} }, participants: {}, streams: {} };
    const tones = {};     // by session id: the hertz of a microphone that is on
    const gains = {};     // by session id: how loud it is, once somebody listens
    const listened = {};  // by session id: whether daily-js has subscribed
    let room = null, people = {}, settings = {};

    const post = m => window.postMessage({ ...m, what: "iframe-call-message", callClientId: id, from: "embedded" }, location.origin);
    const fail = error => post({ action: "error", errorMsg: error.msg, error });

    function complain(text) {
      if (room && room.readyState === WebSocket.OPEN) room.send(JSON.stringify({ type: "complaint", text }));
      fail({ type: "dailytest", msg: text });
    }

    function checkKeys(what, object, ...allowed) {
      for (const key of Object.keys(object)) {
        if (!allowed.flat().includes(key)) complain(`${what} has the unknown field ${key}: ${JSON.stringify(object[key])}`);
      }
    }

    // package daily takes no more than it asks for.
    function checkSettings(microphone) {
      const wanted = { videoSource: false, subscribeToTracksAutomatically: false, startAudioOff: !microphone };
      if (!microphone) wanted.audioSource = false;
      for (const [key, want] of Object.entries(wanted)) {
        if (settings[key] !== want) complain(`join-meeting has ${key}: ${settings[key]}`);
      }
    }

    const track = (subscribed, s) => ({ subscribed, state: s, ...(s === "off" ? { off: { byUser: true } } : {}) });

    function person(p, local) {
      return {
        session_id: p.session_id, user_id: p.user_id, user_name: p.user_name, local, owner: false,
        joined_at: new Date(), will_eject_at: new Date(0), audio: false, video: false, screen: false, record: false,
        permissions: { hasPresence: true, canSend: true, canReceive: { base: true }, canAdmin: false },
        tracks: { audio: track(local, "off"), video: track(local, "off"), screenAudio: track(local, "off"), screenVideo: track(local, "off") },
      };
    }

    async function updateAudio(sid) {
      const p = people[sid];
      if (!p || tones[sid] === undefined) return;
      if (listened[sid]) {
        const pendingTrack = await remoteTone(sid);
        state.streams[sid] = { participantId: sid, type: "cam", pendingTrack, starttime: new Date().toISOString() };
      }
      people[sid] = { ...p, audio: true, tracks: { ...p.tracks, audio: track(!!listened[sid], listened[sid] ? "playable" : "sendable") } };
      post({ action: "participant-updated", participant: people[sid] });
    }

    // The track comes out of a peer connection, as those of a call do.
    function remoteTone(sid) {
      const context = new AudioContext({ sampleRate: 48000 });
      const oscillator = context.createOscillator();
      const destination = context.createMediaStreamDestination();
      oscillator.frequency.value = tones[sid];
      gains[sid] = context.createGain();
      oscillator.connect(gains[sid]);
      gains[sid].connect(destination);
      oscillator.start();
      const a = new RTCPeerConnection(), b = new RTCPeerConnection();
      window.dailytest = [context, a, b]; // or they are collected as garbage
      a.onicecandidate = e => e.candidate && b.addIceCandidate(e.candidate);
      b.onicecandidate = e => e.candidate && a.addIceCandidate(e.candidate);
      a.addTrack(destination.stream.getAudioTracks()[0], destination.stream);
      return new Promise(async resolve => {
        b.ontrack = e => resolve(e.track);
        await a.setLocalDescription();
        await b.setRemoteDescription(a.localDescription);
        await b.setLocalDescription();
        await a.setRemoteDescription(b.localDescription);
      });
    }

    // The track that daily-js was given goes to the room, which makes the answer.
    async function speak() {
      const track = window._daily.instances[id].tracks.audioTrack;
      if (!track) return complain("daily-js has no track of a microphone");
      const call = window.dailytestCall = new RTCPeerConnection();
      call.addTrack(track, new MediaStream([track]));
      call.onconnectionstatechange = () => {
        if (call.connectionState !== "connected" || !people.local) return;
        people.local = { ...people.local, audio: true, tracks: { ...people.local.tracks, audio: { subscribed: true, state: "playable" } } };
        post({ action: "participant-updated", participant: people.local });
      };
      await call.setLocalDescription();
      await new Promise(resolve => {
        const check = () => call.iceGatheringState === "complete" && resolve();
        call.onicegatheringstatechange = check;
        check();
      });
      room.send(JSON.stringify({ type: "voice", text: call.localDescription.sdp }));
    }

    const fromRoom = {
      voice(m) { window.dailytestCall.setRemoteDescription({ type: "answer", sdp: m.text }); },
      welcome(m) {
        if (!m.viewers) checkSettings(m.microphone);
        if (m.microphone) speak();
        people = { local: person(m.you, true) };
        if (m.microphone) people.local.tracks.audio = track(true, "loading");
        for (const p of m.people) people[p.session_id] = person(p, false);
        const internal = m.max ? { _maxAppMessageSize: m.max } : {};
        post({ action: "joined-meeting", participants: people, internal });
        post({ action: "participant-counts-updated", participantCounts: { present: Object.keys(people).length, hidden: 0 } });
      },
      joined(m) {
        people[m.person.session_id] = person(m.person, false);
        post({ action: "participant-joined", participant: people[m.person.session_id] });
      },
      left(m) {
        const participant = people[m.person.session_id];
        delete people[m.person.session_id];
        delete state.streams[m.person.session_id];
        post({ action: "participant-left", participant, reason: "leftCall" });
      },
      hidden(m) { post({ action: "participant-left", participant: people[m.person.session_id], reason: "hidden" }); },
      network(m) { post({ action: "network-connection", type: m.from, event: m.text }); },
      message(m) { post({ action: "app-message", data: m.data, fromId: m.from }); },
      tone(m) {
        if (gains[m.from]) { gains[m.from].gain.value = m.hertz ? 1 : 0; return; }
        tones[m.from] = m.hertz;
        listened[m.from] ??= settings.subscribeToTracksAutomatically !== false;
        updateAudio(m.from);
      },
      error(m) { fail(m.error); },
    };

    const fromDailyJS = {
      "join-meeting"(m, done) {
        const p = m.properties;
        checkKeys("join-meeting", p, known.properties);
        settings = p;
        room = new WebSocket(new URL("/socket", p.url).href.replace(/^http/, "ws"));
        room.onopen = () => room.send(JSON.stringify({ type: "join", url: p.url, user_name: p.userName || "", token: p.token || "" }));
        room.onmessage = e => {
          const x = JSON.parse(e.data);
          if (x.type === "refused") return done({ error: x.error });
          if (!fromRoom[x.type]) return complain(`the room says ${x.type}`);
          fromRoom[x.type](x);
        };
        room.onclose = () => room && fail({ type: "connection-error", msg: "connection lost" });
      },
      "app-msg"(m) { room.send(JSON.stringify({ type: "message", data: m.data, to: m.to })); },
      "update-participant"(m) {
        checkKeys("update-participant", m.properties, "setSubscribedTracks");
        checkKeys("setSubscribedTracks", m.properties.setSubscribedTracks, "audio");
        listened[m.id] = m.properties.setSubscribedTracks.audio;
        updateAudio(m.id);
      },
      "leave-meeting"() {
        const r = room;
        room = null;
        people = {};
        if (r && r.readyState === WebSocket.OPEN) r.send(JSON.stringify({ type: "leave" }));
        if (r) r.close(1000);
        post({ action: "left-meeting" });
      },
      "get-network-topology"(m, done) { done({ topology: "sfu" }); },
      "transmit-log"() {},
    };

    window._daily.instances[id].callMachine = { store: { getState: () => state }, reset() {} };
    window.addEventListener("message", e => {
      const m = e.data;
      if (!m || m.what !== "iframe-call-message" || m.from !== "module" || m.callClientId !== id) return;
      if (!fromDailyJS[m.action]) return complain(`daily-js says ${m.action}: ${JSON.stringify(m)}`);
      checkKeys(m.action, m, known.envelope, known[m.action]);
      fromDailyJS[m.action](m, answer => post({ action: m.action, ...answer, callbackStamp: m.callbackStamp }));
    });
    post({ action: "call-machine-initialized" });
    post({ action: "loaded" });
  }
})();
