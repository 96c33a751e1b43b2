// The dashboard of the gateway. One stream has the events of all conversations, a second one
// those of the open conversation. Text is never inserted as markup.
import { Lanes } from "./lanes.js";

const $ = id => document.getElementById(id);
const overview = "v1/events";
const longest = 64 << 20;  // bytes of a file, as the gateway has it
const again = 1000;        // ms until a stream that was lost is asked for again
const kept = 25;           // seconds of leads that are kept, for the lanes
const clock = () => performance.now() / 1000;
const say = text => { if ($("status").textContent !== text) $("status").textContent = text; };

// ---- requests ----

const tokenKey = "echocast.token"; // in the storage of this tab

class Refusal extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function ask(method, path, { headers = {}, ...rest } = {}) {
  const token = sessionStorage.getItem(tokenKey);
  if (token) headers.Authorization = "Bearer " + token;
  const answer = await fetch(path, { method, headers, ...rest });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401 || answer.status === 403 && path === overview) needToken(problem.detail);
  throw new Refusal(answer.status, problem.detail || answer.statusText);
}

const of = (id, what) => `v1/conversations/${encodeURIComponent(id)}/${what}`;

// attempt says why something was not done.
const attempt = work => work.catch(e => say(e.message));

// events reads server-sent events.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const event = {};
      for (const line of part.split("\n")) {
        const at = line.indexOf(": ");
        if (at > 0) event[line.slice(0, at)] = line.slice(at + 2);
      }
      if (event.data) yield { id: event.id, type: event.event, data: JSON.parse(event.data) };
    }
  }
}

// follow takes the events of a stream, and asks again when it is lost, until it is
// refused, stopped, or take returns false.
async function follow(path, signal, take) {
  for (let last; !signal.aborted; await new Promise(done => setTimeout(done, again))) {
    try {
      const answer = await ask("GET", path, { headers: last ? { "Last-Event-ID": last } : {}, signal });
      let isFirst = true;
      for await (const event of events(answer.body)) {
        last = event.id;
        if (signal.aborted || take(event, isFirst) === false) return;
        isFirst = false;
      }
    } catch (e) {
      if (signal.aborted) return;
      if (e instanceof Refusal && e.status < 500) return say(e.message);
    }
    if (signal.aborted) return;
    say("the connection was lost: asking again");
    delete document.body.dataset.state;
  }
}

// ---- the token ----

function needToken(why) {
  $("sign-in").hidden = false;
  $("token").focus();
  say(sessionStorage.getItem(tokenKey) ? why || "the gateway does not accept this token" : "a token is needed");
  sessionStorage.removeItem(tokenKey);
}

$("sign-in").onsubmit = e => {
  e.preventDefault();
  const token = $("token").value.trim();
  $("token").value = "";
  if (!/^[\x21-\x7e]+$/.test(token)) return say("a token has only ASCII characters, and no spaces");
  sessionStorage.setItem(tokenKey, token);
  $("sign-in").hidden = true;
  begin();
};

// ---- all conversations ----

const lines = new Map();   // of conversations, by their ids
const changed = new Map(); // what is not shown yet, by id
let all = new AbortController();
let waiting = 0;           // the frame that shows it, where one was asked for
let renders = 0;

function begin() {
  all.abort();
  all = new AbortController();
  follow(overview, all.signal, ({ data }, isFirst) => {
    if (isFirst) { say("connected"); document.body.dataset.state = "connected"; }
    const list = data.changed || [], ended = data.ended || [];
    if (isFirst) for (const id of lines.keys()) if (!list.some(info => info.id === id)) ended.push(id);
    for (const info of list) changed.set(info.id, info);
    for (const id of ended) changed.set(id, null);
    waiting ||= requestAnimationFrame(render);
  });
  select();
}

// render shows what has changed since the last frame.
function render() {
  waiting = 0;
  for (const [id, info] of changed) {
    if (!info) remove(id);
    else show(info);
  }
  changed.clear();
  set($("count"), String(lines.size));
  $("none").hidden = lines.size > 0;
  $("table").hidden = lines.size === 0;
  $("table").dataset.renders = ++renders;
}

function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const nameOf = info => info.label || info.id;

function stateOf(info) {
  const state = info.state === "open" ? info.replica || "open" : info.state;
  return info.waiting ? `${state}, ${info.waiting} waiting` : state;
}

function addLine(info) {
  const node = $("line").content.firstElementChild.cloneNode(true), find = what => node.querySelector(what);
  const line = {
    node, name: find(".name"), state: find(".state"), meter: find("meter"), lead: find(".lead span"),
    underruns: find(".underruns"), words: find(".words"), leads: [],
  };
  node.dataset.id = info.id;
  line.name.href = "#" + info.id;
  line.name.textContent = nameOf(info);
  line.meter.ariaLabel = "seconds that the replica is ahead";
  find("button").ariaLabel = "Interrupt " + nameOf(info);
  find("button").onclick = () => interrupt(info.id);
  lines.set(info.id, line);
  $("lines").append(node);
  if (info.id === current) mark(info.id);
  return line;
}

function show(info) {
  const line = lines.get(info.id) || addLine(info), lead = info.lead_seconds, now = clock();
  line.info = info;
  set(line.state, stateOf(info));
  const speaking = String(info.replica === "speaking");
  if (line.node.dataset.speaking !== speaking) line.node.dataset.speaking = speaking;
  if (line.shown !== lead) {
    line.meter.max = Math.max(2, lead);
    line.meter.value = line.shown = lead;
    set(line.lead, lead.toFixed(2) + " s");
  }
  line.leads.push([now, lead]);
  while (line.leads[0][0] < now - kept) line.leads.shift();
  set(line.underruns, String(info.underruns));
  if (info.underruns && !line.underruns.dataset.some) line.underruns.dataset.some = "true";
  set(line.words, info.last_text || "");
}

function remove(id) {
  const line = lines.get(id);
  if (!line) return;
  line.node.remove();
  lines.delete(id);
}

$("rehearse").onclick = () => attempt(ask("POST", "v1/conversations", { body: '{"to":"rehearsal"}' })
  .then(answer => answer.json()).then(info => { say("a rehearsal was created"); location.hash = info.id; }));

// ---- one conversation ----

// OneLanes are the lanes of what a gateway knows of a conversation.
class OneLanes extends Lanes {
  names = ["utterance", "lead", "speaking", "events"];
  spans = [];

  begin(lane, color) { this.close(lane); this.spans.push({ lane, color, from: this.clock(), to: Infinity }); }
  close(lane) { for (const s of this.spans) if (s.lane === lane && s.to === Infinity) s.to = this.clock(); }

  drawBars() {
    this.spans = this.spans.filter(s => s.to > this.end - this.span);
    for (const s of this.spans) this.bar(s.lane, s.color, s.from, Math.min(s.to, this.end));
    for (const u of this.updates) this.bar(3, u.color, u.t, u.t, 3);
    const leads = lines.get(current)?.leads || [];
    return [[this.end - this.span - 5, 0], ...leads];
  }
}

let current = "";  // the id of the conversation that is open
let lanes = null;
let one = new AbortController();
const receipts = new Map(); // of the conversation that is open, by utterance
const mine = new Set();     // utterances that this page asked for

function mark(id) {
  for (const node of $("lines").querySelectorAll("[aria-current]")) node.removeAttribute("aria-current");
  lines.get(id)?.node.setAttribute("aria-current", "true");
}

function select() {
  const id = location.hash.slice(1), before = current;
  one.abort();
  current = id;
  mark(id);
  $("one").hidden = !id;
  document.body.toggleAttribute("data-open", !!id);
  $("log").replaceChildren();
  receipts.clear();
  $("caption").textContent = lines.get(id)?.info.last_text || "";
  if (!id) return lines.get(before)?.name.focus();
  $("one-title").textContent = lines.has(id) ? nameOf(lines.get(id).info) : id;
  if (before !== id) $("one-title").focus();
  one = new AbortController();
  lanes = new OneLanes($("lanes"), clock);
  const live = clock() + 0.3; // what comes before has happened earlier
  follow(of(id, "events"), one.signal, event => take(event, clock() >= live));
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(draw);
}

addEventListener("hashchange", select);

const still = matchMedia("(prefers-reduced-motion: reduce)");
let drawnAt = 0, frame = 0;

function draw(now) {
  if (!current) return;
  if (now - drawnAt > (still.matches ? 250 : 33)) { drawnAt = now; lanes.draw(); }
  frame = requestAnimationFrame(draw);
}

const takers = {
  state(info) {
    $("one-title").textContent = nameOf(info);
    return info.state + (info.error ? ": " + info.error : "");
  },
  utterance({ name, id, phase }) {
    if (phase === "speaking") lanes.begin(0, "blue");
    if (phase === "over") lanes.close(0);
    return `utterance ${name || id}: ${phase}`;
  },
  receipt({ utterance, receipt }) {
    const text = `${receipt.source ? receipt.source + ": " : ""}${receipt.outcome}, ${receipt.spoken_seconds.toFixed(2)} s spoken` +
      (receipt.underruns ? `, ${receipt.underruns} underruns` : "") + (receipt.error ? ": " + receipt.error : "");
    receipts.set(utterance, text);
    return text;
  },
  event(event) {
    if (event.kind === "started_speaking" && event.role !== "user") lanes.begin(2, "green");
    if (event.kind === "stopped_speaking" && event.role !== "user") lanes.close(2);
    if (event.kind === "utterance" && event.role !== "user" && event.text) $("caption").textContent = event.text;
    return (event.role ? event.role + ": " : "") + (event.kind || event.type).replaceAll("_", " ") +
      (event.interrupted ? ", interrupted" : "") + (event.text ? ": " + event.text : "");
  },
  complaint: complaint => "complaint: " + complaint.text,
  gap: ({ missed }) => `${missed} earlier events are not kept`,
};

// take shows an event of the conversation that is open, and returns false after the
// last one.
function take({ type, data }, isLive) {
  const text = takers[type]?.(data) ?? type, isBad = type === "complaint" || data.interrupted || !!data.receipt?.error;
  const line = document.createElement("li"), at = data.time ? new Date(data.time) : isLive ? new Date() : null;
  line.textContent = (at ? at.toLocaleTimeString() + "  " : "") + text;
  $("log").prepend(line);
  while ($("log").childElementCount > 200) $("log").lastChild.remove();
  if (isLive) lanes.add({ t: clock(), color: isBad ? "red" : "soft" });
  if (type === "receipt" && (isLive || mine.has(data.utterance))) say(text);
  return !(type === "state" && data.state === "ended");
}

// ---- controls ----

function interrupt(id) {
  attempt(ask("POST", of(id, "interrupt")).then(() => say("interrupted")));
}

// speak sends a file. The gateway answers when it has all of it, and the receipt comes
// as an event.
async function speak(id, file) {
  if (file.size > longest) return say(`${file.name} has more than 64 MB`);
  say(`sending ${file.name}`);
  const name = [...file.name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "")].slice(0, 50).join("");
  const answer = await ask("POST", of(id, "speech?") + new URLSearchParams({ name }), { headers: { Prefer: "respond-async" }, body: file });
  const utterance = (await answer.json()).id;
  mine.add(utterance);
  say(receipts.get(utterance) || `${file.name} was received`); // whichever comes first
}

function speakAll(id, files) {
  for (const file of files) attempt(speak(id, file));
}

$("interrupt").onclick = () => interrupt(current);
$("file").onchange = () => { speakAll(current, [...$("file").files]); $("file").value = ""; };
for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, e => {
  e.preventDefault();
  const line = e.target.closest?.(".line[data-id]"), id = line ? line.dataset.id : current;
  for (const node of document.querySelectorAll(".over")) node.classList.remove("over");
  if (kind === "dragover" && id) (line || $("drop")).classList.add("over");
  if (kind !== "drop" || !e.dataTransfer.files.length) return;
  if (!id) return say("drop the file on a conversation");
  speakAll(id, [...e.dataTransfer.files]);
  location.hash = id;
});
addEventListener("keydown", e => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.tagName === "INPUT" || !current) return;
  if (e.key === "i") interrupt(current);
  if (e.key === "Escape") location.hash = "";
});

begin();
