// The page of a stand-in replica. It joins the room by WebRTC, as any sender
// does: messages go over the data channel "echocast", the sound comes over two
// audio tracks. What only the replica knows comes as server-sent events.
import { Lanes, captionOf } from "./lanes.js";

(() => {
  const $ = id => document.getElementById(id);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const rate = 24000;       // Hz, of what the page says
  const chunk = rate / 20;  // samples of a message
  const lead = 1;           // seconds that are sent ahead of playing
  let offset = 0;           // of the server's clock, in seconds
  let target = { viseme: "rest", open: 0 }, shown = { open: 0, wide: 0 };
  let user = null, microphone = null; // the transceiver of the user's sound, and what it sends
  let speaking = false;     // the replica
  let pressed = 0;          // when an interrupt was sent, until it is confirmed
  let conversation = "local", messages = null, speech = null;

  // ---- the room ----

  const say = text => { $("status").textContent = text; };

  async function join() {
    const link = new RTCPeerConnection();
    messages = link.createDataChannel("echocast");
    const pings = link.createDataChannel("echocast.ping");
    pings.onmessage = e => { if (e.data === "ping") pings.send("pong"); };
    messages.onopen = () => { document.body.dataset.state = "connected"; say(speaking ? "speaking" : "connected"); };
    messages.onclose = () => { say("the connection has ended: reload to join again"); document.body.dataset.state = "ended"; };
    messages.onmessage = e => receive(e.data);
    const voice = link.addTransceiver("audio", { direction: "recvonly" });
    user = link.addTransceiver("audio", { direction: "sendrecv" });
    link.ontrack = e => {
      const player = $(e.transceiver === voice ? "sound" : "user-sound");
      player.srcObject = new MediaStream([e.track]);
      player.play().catch(() => { $("listen").hidden = false; });
    };
    await link.setLocalDescription(await link.createOffer());
    await new Promise(done => {
      if (link.iceGatheringState === "complete") return done();
      link.onicegatheringstatechange = () => link.iceGatheringState === "complete" && done();
      setTimeout(done, 2000);
    });
    const answer = await fetch("/", { method: "POST", headers: { "Content-Type": "application/sdp" }, body: link.localDescription.sdp });
    if (!answer.ok) throw new Error(await answer.text());
    await link.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    addEventListener("pagehide", () => link.close());
  }

  function receive(data) {
    let message;
    try { message = JSON.parse(typeof data === "string" ? data : new TextDecoder().decode(data)); } catch { return; }
    if (message.conversation_id) conversation = message.conversation_id;
    const p = message.properties || {};
    if (p.role === "replica") return; // the twin of an event
    const text = captionOf(message);
    if (text) $("caption").textContent = text;
    if (message.event_type === "conversation.stopped_speaking" && p.interrupted) {
      if (speech) speech.stopped = true;
      if (pressed) { document.body.dataset.confirmed = String(Math.round(performance.now() - pressed)); say(`interrupted: confirmed after ${document.body.dataset.confirmed} ms`); pressed = 0; }
      document.body.dataset.interrupted = String(Number(document.body.dataset.interrupted || 0) + 1);
    }
  }

  function send(type, properties) {
    if (!messages || messages.readyState !== "open") return say("not connected");
    const message = { message_type: "conversation", event_type: type, conversation_id: conversation };
    if (properties) message.properties = properties;
    messages.send(JSON.stringify(message));
  }

  function interrupt() {
    pressed = performance.now();
    if (speech) speech.stopped = true;
    send("conversation.interrupt");
  }

  // ---- speaking ----

  async function speak(file) {
    if (file.size > 64 << 20) return say(`${file.name} is longer than 64 MB`);
    let sound;
    try {
      sound = await new OfflineAudioContext(1, 1, rate).decodeAudioData(await file.arrayBuffer());
    } catch {
      return say(`${file.name} is no sound that this browser can read`);
    }
    if (speech) interrupt();
    const mine = speech = { stopped: false }, id = crypto.randomUUID();
    say(`speaking ${file.name}`);
    const start = performance.now();
    for (let at = 0; at < sound.length && !mine.stopped; at += chunk) {
      const wait = start + (at / rate - lead) * 1000 - performance.now();
      if (wait > 0) await new Promise(done => setTimeout(done, wait));
      if (mine.stopped || messages.readyState !== "open") return;
      const done = at + chunk >= sound.length;
      send("conversation.echo", { modality: "audio", audio: encode(sound, at, Math.min(chunk, sound.length - at)), sample_rate: rate, inference_id: id, done });
    }
    if (speech === mine) speech = null;
  }

  // encode mixes samples to mono and returns them as base64 of s16le.
  function encode(sound, from, count) {
    const bytes = new DataView(new ArrayBuffer(2 * count)), channels = sound.numberOfChannels;
    for (let i = 0; i < count; i++) {
      let v = 0;
      for (let c = 0; c < channels; c++) v += sound.getChannelData(c)[from + i] / channels;
      bytes.setInt16(2 * i, Math.max(-32768, Math.min(32767, Math.round(v * 32768))), true);
    }
    let text = "";
    for (let i = 0; i < bytes.byteLength; i++) text += String.fromCharCode(bytes.getUint8(i));
    return btoa(text);
  }

  // ---- the user's microphone ----

  async function toggleMicrophone() {
    const isOn = !microphone;
    if (isOn) {
      try {
        microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
      } catch (e) {
        return say("no microphone: " + e.message);
      }
      watchVoice(microphone);
    } else {
      for (const track of microphone.getTracks()) track.stop();
      microphone = null;
    }
    await user.sender.replaceTrack(isOn ? microphone.getAudioTracks()[0] : null);
    $("microphone").setAttribute("aria-pressed", String(isOn));
  }

  // watchVoice tells the room when the user begins and stops to speak.
  function watchVoice(stream) {
    const context = new AudioContext(), analyser = context.createAnalyser(), samples = new Float32Array(analyser.fftSize);
    context.createMediaStreamSource(stream).connect(analyser);
    let speaking = false, heard = 0;
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const now = performance.now(), loudness = Math.sqrt(samples.reduce((sum, v) => sum + v * v, 0) / samples.length);
      if (loudness > 0.01) heard = now;
      const is = stream === microphone && now - heard < 700;
      if (is !== speaking) post("user", String(speaking = is));
      if (stream !== microphone) { clearInterval(timer); context.close(); }
    }, 50);
  }

  async function post(path, body) {
    const answer = await fetch(path, { method: "POST", body });
    if (!answer.ok) say(await answer.text());
  }

  // ---- what the replica does ----

  const lanes = new Lanes($("lanes"), () => performance.now() / 1000 + offset);

  function follow() {
    const stream = new EventSource("events");
    stream.onmessage = e => take(JSON.parse(e.data));
    stream.onerror = () => { target = { viseme: "rest", open: 0 }; };
  }

  function take(u) {
    const ahead = u.t - performance.now() / 1000;
    if (u.type === "hello") { offset = ahead; setSpeaking(u.utterance || ""); return; }
    offset = Math.max(offset, ahead);
    lanes.add(u);
    switch (u.type) {
      case "sound": target = u.mouth; target.until = performance.now() + 1000 * u.seconds + 80; return;
      case "chunk": return;
      case "people": log(u.t, `${(u.people || []).length} connected`); return;
      case "started": setSpeaking(u.utterance); break;
      case "stopped": setSpeaking(""); target = { viseme: "rest", open: 0 }; break;
    }
    log(u.t, describe(u));
  }

  function setSpeaking(id) {
    speaking = id !== "";
    $("face-title").textContent = id ? "The face of the replica, speaking" : "The face of the replica, silent";
    if (document.body.dataset.state === "connected" && (id || !$("status").textContent.startsWith("interrupted"))) say(id ? "speaking" : "connected");
  }

  function describe(u) {
    const who = u.who ? u.who + ": " : "", s = n => n.toFixed(2) + " s";
    switch (u.type) {
      case "joined": return "the replica joined";
      case "receiving": return who + "speech is arriving";
      case "started": return who + "speaking";
      case "stopped": return who + (u.interrupted ? "interrupted after " : "spoken: ") + s(u.seconds || 0);
      case "underrun": return who + "underrun of " + s(u.seconds);
      case "interrupt": return who + "interrupt: " + u.text;
      case "complaint": return who + "complaint: " + u.text;
    }
    return who + u.type + (u.text ? ": " + u.text : "");
  }

  function log(t, text) {
    const line = document.createElement("li");
    line.textContent = t.toFixed(2) + " s  " + text;
    $("log").prepend(line);
    while ($("log").childElementCount > 200) $("log").lastChild.remove();
  }

  // ---- the face ----

  const widths = { rest: 0, open: 0, wide: 1, round: -1, teeth: 0.6 };
  let blinkAt = 3000, lanesAt = 0;

  function draw(now) {
    if (target.until && now > target.until) target = { viseme: "rest", open: 0 };
    shown.open += (target.open - shown.open) * 0.45;
    shown.wide += (widths[target.viseme] - shown.wide) * 0.3;
    if (shown.open < 0.005) shown.open = 0;
    const face = $("face");
    face.dataset.viseme = target.viseme;
    face.dataset.open = shown.open.toFixed(2);
    drawMouth(shown.open, shown.wide);
    if (!still.matches) {
      const blink = now > blinkAt;
      $("eyes").setAttribute("transform", blink ? "translate(0 88) scale(1 .12)" : "");
      if (now > blinkAt + 130) blinkAt = now + 2000 + 4000 * Math.random();
      $("head").setAttribute("transform", `rotate(${(0.8 * Math.sin(now / 1700)).toFixed(2)} 100 170)`);
    }
    if (now - lanesAt > (still.matches ? 250 : 33)) { lanesAt = now; lanes.draw(); }
    requestAnimationFrame(draw);
  }

  // drawMouth moves the parts of the mouth, as package face does for video.
  function drawMouth(open, wide) {
    const line = 144, half = 21 + 5 * wide - 3 * open, inner = half - 4 + open, up = 3 - 11 * open, down = 4.5 + 26 * open;
    const lens = (half, up, down) => `M${100 - half} ${line}Q100 ${line + up} ${100 + half} ${line}Q100 ${line + down} ${100 - half} ${line}Z`;
    const slice = (up, down) => {
      const left = 100 - 0.6 * inner, right = 100 + 0.6 * inner, at = (share, v) => line + share * v;
      return `M${left} ${at(0.32, up)}Q100 ${at(0.68, up)} ${right} ${at(0.32, up)}L${right} ${at(0.32, down)}Q100 ${at(0.68, down)} ${left} ${at(0.32, down)}Z`;
    };
    const isOpen = open > 0.15;
    $("lips").setAttribute("d", lens(half, -7 - 9 * open, 12 + 27 * open));
    $("inside").setAttribute("d", lens(inner, up, down));
    $("teeth").setAttribute("d", isOpen ? slice(up, up + 9 * Math.min(1, open + 0.3 + 0.3 * wide)) : "M0 0");
    $("tongue").setAttribute("d", isOpen ? slice(down - 12 * open, down - 1) : "M0 0");
  }

  // ---- controls ----

  $("interrupt").onclick = interrupt;
  $("microphone").onclick = toggleMicrophone;
  $("faults").onchange = () => post("faults", [...$("faults").querySelectorAll(":checked")].map(box => box.value).join("\n"));
  $("listen").onclick = () => { $("sound").play(); $("user-sound").play(); $("listen").hidden = true; };
  $("say").onsubmit = e => {
    e.preventDefault();
    const text = $("text").value.trim();
    if (text) send("conversation.echo", { modality: "text", text, inference_id: crypto.randomUUID(), done: true });
    $("text").value = "";
  };
  $("file").onchange = () => { for (const file of $("file").files) speak(file); $("file").value = ""; };
  for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, e => {
    e.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && e.dataTransfer.files[0]) speak(e.dataTransfer.files[0]);
  });
  addEventListener("keydown", e => {
    if (e.key === "i" && !e.ctrlKey && !e.metaKey && !e.altKey && e.target.tagName !== "INPUT") interrupt();
  });

  follow();
  requestAnimationFrame(draw);
  join().catch(e => say("cannot join: " + e.message));
})();
