// The page between package daily and daily-js. All it knows comes over the data
// channel "echocast", one JSON object per message:
//
//   in   {id, op: "join", url, token, user_name, config, microphone}
//        {id, op: "send", to, data}
//        {id, op: "listen", session_id}
//        {id, op: "play", utterance, last, pcm}  pcm: base64 of s16le at the rate
//                                                that microphone says
//        {id, op: "hush"}
//        {id, op: "leave"}
//   out  {reply: id, max?}  or  {reply: id, error: {type, msg}}
//        {event: "people", people: [{session_id, user_id, user_name}]}
//        {event: "joined", person}, {event: "left", person}
//        {event: "message", from, data}
//        {event: "network", connected}
//        {event: "played", utterance}
//        {event: "over", error: {type, msg}}
"use strict";
(() => {
  const loaded = load(document.currentScript.dataset);
  const link = new RTCPeerConnection();
  const messages = link.createDataChannel("echocast");
  const pings = link.createDataChannel("echocast.ping");
  let call = null;    // the daily-js call object
  let inRoom = false; // joined, and not leaving
  let mic = null;     // {context, node, held, limit, waiting} of a microphone
  let ear = null;     // {session, connection, sender, player} once somebody listens

  function load({ dailyJs, integrity }) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = dailyJs;
      if (integrity) {
        script.integrity = integrity;
        script.crossOrigin = "anonymous";
      }
      script.onload = resolve;
      script.onerror = () => reject(new Error("daily-js could not be loaded from " + script.src));
      document.head.append(script);
    });
  }

  function tell(message) {
    if (messages.readyState === "open") messages.send(JSON.stringify(message));
  }

  const person = p => ({ session_id: p.session_id, user_id: p.user_id || "", user_name: p.user_name || "" });

  // daily-js throws an Error, or {type, msg}, or the event {errorMsg, error: {type, msg}}.
  function reason(e) {
    if (e && e.error && e.error.type) return { type: e.error.type, msg: e.error.msg || e.errorMsg || "" };
    if (e && e.type && e.msg !== undefined) return { type: e.type, msg: String(e.msg) };
    return { type: "", msg: String((e && (e.errorMsg || e.message || e.msg)) || e) };
  }

  const ops = {
    async join({ url, token, user_name, config, microphone }) {
      await loaded;
      const audioSource = microphone ? await openMicrophone(microphone) : false;
      call = Daily.createCallObject({
        audioSource, videoSource: false, startAudioOff: !microphone, startVideoOff: true,
        subscribeToTracksAutomatically: false, dailyConfig: config,
      });
      call.on("participant-joined", e => inRoom && tell({ event: "joined", person: person(e.participant) }));
      call.on("participant-left", e => { // one who is hidden is still there
        if (inRoom && e.reason !== "hidden") tell({ event: "left", person: person(e.participant) });
      });
      call.on("network-connection", e => { // those of media carry no messages
        if (inRoom && e.type === "signaling") tell({ event: "network", connected: e.event === "connected" });
      });
      call.on("app-message", e => tell({ event: "message", from: e.fromId, data: e.data }));
      call.on("track-started", e => hear(e.participant, e.track));
      let fatal = null;
      call.on("error", e => { fatal = reason(e); over(fatal); });
      call.on("left-meeting", () => over({ type: "", msg: "the meeting has ended" }));
      const properties = { url, userName: user_name };
      if (token) properties.token = token;
      try {
        await call.join(properties);
      } catch (e) {
        throw fatal || e;
      }
      if (fatal) throw fatal;
      if (microphone) await published();
      const people = Object.values(call.participants()).filter(p => !p.local).map(person);
      inRoom = true;
      tell({ event: "people", people });
      return { max: call._maxAppMessageSize };
    },

    async send({ to, data }) {
      try {
        call.sendAppMessage(data, to);
      } catch (e) {
        throw /too large/.test(e.message) ? { type: "too-large", msg: e.message } : e;
      }
    },

    async listen({ session_id }) {
      const participant = call.participants()[session_id];
      if (!participant) throw new Error("no participant " + session_id);
      silence();
      const connection = new RTCPeerConnection();
      const sender = connection.addTransceiver("audio", { direction: "sendonly" }).sender;
      ear = { session: session_id, connection, sender, player: null };
      await connect(connection, "audio");
      call.updateParticipant(session_id, { setSubscribedTracks: { audio: true } });
      const track = participant.tracks.audio.persistentTrack;
      if (participant.tracks.audio.state === "playable" && track) hear(participant, track);
    },

    // The answer waits while there is much to play.
    async play({ utterance, last, pcm }) {
      const bytes = Uint8Array.from(atob(pcm), c => c.charCodeAt(0));
      const samples = new Int16Array(bytes.buffer);
      mic.held += samples.length;
      mic.node.port.postMessage({ pcm: samples, utterance, last });
      while (mic.held > mic.limit) await new Promise(resolve => mic.waiting.push(resolve));
    },

    async hush() { mic.node.port.postMessage({ hush: true }); },

    async leave() {
      inRoom = false;
      if (mic) mic.context.close();
      silence();
      if (call) await call.destroy(); // leaves first
    },
  };

  // openMicrophone makes a track of the played samples, in a context with their sample rate.
  async function openMicrophone(sampleRate) {
    const context = new AudioContext({ sampleRate });
    await context.audioWorklet.addModule("microphone.js");
    const node = new AudioWorkletNode(context, "microphone", { numberOfInputs: 0, outputChannelCount: [1] });
    const out = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    node.connect(out);
    await context.resume();
    mic = { context, node, held: 0, limit: 5 * sampleRate, waiting: [] };
    node.port.onmessage = ({ data }) => {
      mic.held -= data.taken;
      for (const resume of mic.waiting.splice(0)) resume();
      if (data.last) tell({ event: "played", utterance: data.utterance });
    };
    return out.stream.getAudioTracks()[0];
  }

  // published waits until the track is on its way: what is said before is lost.
  function published() {
    return new Promise((resolve, reject) => {
      const check = () => {
        const audio = call.participants().local.tracks.audio;
        if (audio.state === "playable") resolve();
        if (audio.state === "blocked" || audio.off?.byCanSendPermission) reject(new Error("the room takes no audio track"));
      };
      call.on("participant-updated", check);
      check();
    });
  }

  function over(error) {
    if (!inRoom) return;
    inRoom = false;
    tell({ event: "over", error });
  }

  // Chromium passes the track of one peer connection on to another only while
  // something plays it.
  function hear(participant, track) {
    if (!ear || track.kind !== "audio" || participant.session_id !== ear.session) return;
    if (!ear.player) {
      ear.player = document.createElement("audio");
      ear.player.muted = true;
    }
    ear.player.srcObject = new MediaStream([track]);
    ear.player.play().catch(() => {}); // a newer track takes its place
    ear.sender.replaceTrack(track).catch(() => {}); // the connection is closed
  }

  function silence() {
    if (!ear) return;
    ear.connection.close();
    if (ear.player) ear.player.srcObject = null;
    ear = null;
  }

  // connect makes one offer with all its candidates, and takes the answer.
  async function connect(connection, address) {
    await connection.setLocalDescription();
    await new Promise(resolve => {
      const check = () => connection.iceGatheringState === "complete" && resolve();
      connection.onicegatheringstatechange = check;
      check();
    });
    const response = await fetch(address, {
      method: "POST", headers: { "Content-Type": "application/sdp" }, body: connection.localDescription.sdp,
    });
    const body = await response.text();
    if (response.status !== 201) throw new Error(address + ": " + response.status + " " + body);
    await connection.setRemoteDescription({ type: "answer", sdp: body });
  }

  pings.onmessage = e => { if (e.data === "ping") pings.send("pong"); };
  messages.onclose = () => ops.leave();
  messages.onmessage = async e => {
    const m = JSON.parse(e.data);
    try {
      tell({ reply: m.id, ...await ops[m.op](m) });
    } catch (error) {
      tell({ reply: m.id, error: reason(error) });
    }
  };
  loaded.catch(() => {}); // join says so
  connect(link, "link/");
})();
