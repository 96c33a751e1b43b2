"use strict";
document.documentElement.classList.add("js");

// The steps between two ticks, in seconds.
const steps = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

function clock(t, step) {
  const digits = step < 0.01 ? 3 : step < 0.1 ? 2 : step < 1 ? 1 : 0;
  if (t < 60 && step < 60) return t.toFixed(digits) + " s";
  const whole = Math.floor(t + 1e-9), seconds = whole % 60, minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600);
  const two = n => String(n).padStart(2, "0");
  const part = digits ? (t - whole).toFixed(digits).slice(1) : "";
  return (hours ? hours + ":" + two(minutes) : minutes) + ":" + two(seconds) + part;
}

function milliseconds(s) {
  const ms = s * 1000;
  return Math.abs(ms) >= 1000 ? s.toFixed(2) + " s" : !ms ? "0 ms" : ms.toFixed(Math.abs(ms) < 10 ? 1 : 0) + " ms";
}

// before is the index of the last value that is at most x, or -1.
function before(values, x) {
  let low = -1, high = values.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= x) low = middle; else high = middle;
  }
  return low;
}

class Timeline {
  constructor(section) {
    this.lanes = section.querySelector(".lanes");
    this.data = JSON.parse(section.querySelector("script").textContent);
    this.overlay = section.querySelector(".overlay");
    this.grids = section.querySelector(".grids");
    this.cursor = section.querySelector(".cursor");
    this.brush = section.querySelector(".brush");
    this.readout = section.querySelector(".readout");
    this.axis = section.querySelector(".axis .plot");
    this.images = [...section.querySelectorAll("svg")];
    this.blocks = [...section.querySelectorAll(".block")].map(e => ({ e, a: +e.dataset.a, b: +e.dataset.b }));
    this.marks = this.blocks.filter(b => b.e.classList.contains("mark"));
    this.still = this.readout.textContent;
    this.a = 0;
    this.b = this.data.length;
    this.listen(section);
    this.show(this.a, this.b);
  }

  listen(section) {
    const actions = { in: () => this.zoom(0.5), out: () => this.zoom(2), all: () => this.show(0, this.data.length) };
    for (const button of section.querySelectorAll("button")) button.onclick = () => actions[button.dataset.do]();
    this.lanes.addEventListener("wheel", e => this.wheel(e), { passive: false });
    this.lanes.addEventListener("pointerdown", e => this.press(e));
    this.lanes.addEventListener("pointermove", e => this.move(e));
    this.lanes.addEventListener("pointerup", e => this.release(e));
    this.lanes.addEventListener("pointercancel", () => this.drop());
    this.lanes.addEventListener("pointerleave", () => this.leave());
    this.lanes.addEventListener("dblclick", () => actions.all());
    this.lanes.addEventListener("keydown", e => this.key(e));
    addEventListener("resize", () => this.show(this.a, this.b));
  }

  // at is the time under the pointer; NaN beside the plots.
  at(e) {
    const box = this.overlay.getBoundingClientRect();
    const part = (e.clientX - box.left) / box.width;
    return part < -0.002 || part > 1.002 ? NaN : this.a + Math.min(Math.max(part, 0), 1) * (this.b - this.a);
  }

  percent(t) { return 100 * (t - this.a) / (this.b - this.a); }

  show(a, b) {
    const whole = this.data.length, least = Math.min(whole, Math.max(whole / 4000, 0.02));
    const width = Math.min(Math.max(b - a, least), whole);
    this.a = Math.min(Math.max((a + b - width) / 2, 0), whole - width);
    this.b = this.a + width;
    for (const image of this.images) image.setAttribute("viewBox", `${this.a} 0 ${width} 100`);
    for (const block of this.blocks) {
      const off = block.b < this.a || block.a > this.b;
      block.e.style.display = off ? "none" : "";
      if (off) continue;
      const left = Math.max(this.percent(block.a), block.a === block.b ? -100 : 0);
      block.e.style.left = left + "%";
      block.e.style.width = Math.min(this.percent(block.b), 100) - left + "%";
    }
    this.ticks();
    this.crowd();
  }

  ticks() {
    const width = this.axis.clientWidth || 800, most = Math.max(2, Math.floor(width / 95));
    const step = steps.find(s => (this.b - this.a) / s <= most) || 86400 * Math.ceil((this.b - this.a) / 86400 / most);
    this.axis.textContent = "";
    for (const old of this.grids.querySelectorAll(".grid")) old.remove();
    for (let n = Math.ceil(this.a / step - 1e-6); n * step <= this.b + step * 1e-6; n++) {
      const left = this.percent(n * step), tick = document.createElement("span"), grid = document.createElement("span");
      tick.className = "tick" + (left * width < 2500 ? " first" : (100 - left) * width < 2500 ? " final" : "");
      grid.className = "grid";
      tick.style.left = grid.style.left = left + "%";
      tick.textContent = clock(n * step, step);
      this.axis.append(tick);
      this.grids.append(grid);
    }
  }

  // crowd puts the words of marks in three rows, and hides those that have no room.
  crowd() {
    const width = this.axis.clientWidth || 800, rows = [0, 0, 0];
    for (const mark of this.marks) {
      if (mark.e.style.display === "none") continue;
      const at = this.percent(mark.a) * width / 100, room = 14 + 6.2 * mark.e.textContent.length;
      const flipped = at + room > width && at > room, from = flipped ? at - room : at;
      const row = rows.findIndex(end => from >= end);
      rows[row] = Math.max(from + room, at + 4);
      for (const n of [0, 1, 2]) mark.e.classList.toggle("row" + n, n === row);
      mark.e.classList.toggle("flipped", flipped);
      mark.e.classList.toggle("crowded", row < 0);
    }
  }

  zoom(factor, t = (this.a + this.b) / 2) {
    const width = Math.min((this.b - this.a) * factor, this.data.length);
    const a = t - (t - this.a) * width / (this.b - this.a);
    this.show(Math.max(a, 0), Math.max(a, 0) + width);
  }

  wheel(e) {
    const t = this.at(e);
    if (isNaN(t)) return;
    const across = e.shiftKey ? e.deltaY || e.deltaX : Math.abs(e.deltaX) > Math.abs(e.deltaY) ? e.deltaX : 0;
    const all = this.b - this.a >= this.data.length * 0.9999;
    if (all && (across || e.deltaY > 0)) return; // the page scrolls
    e.preventDefault();
    const width = this.b - this.a;
    if (across) {
      const a = Math.min(Math.max(this.a + across * width / 1200, 0), this.data.length - width);
      this.show(a, a + width);
    } else {
      this.zoom(Math.exp(Math.min(Math.max(e.deltaY, -150), 150) / 300), t);
    }
    this.hover(e);
  }

  press(e) {
    const t = this.at(e);
    if (e.button !== 0 || e.pointerType === "touch" || isNaN(t)) return;
    this.from = { t, x: e.clientX };
    this.lanes.setPointerCapture(e.pointerId);
    this.lanes.focus({ preventScroll: true });
    e.preventDefault();
  }

  move(e) {
    this.hover(e);
    if (!this.from) return;
    const box = this.overlay.getBoundingClientRect(), clamp = x => Math.min(Math.max(x - box.left, 0), box.width);
    const [left, right] = [clamp(this.from.x), clamp(e.clientX)].sort((a, b) => a - b);
    this.brush.style.cssText = `display:block;left:${left}px;width:${right - left}px`;
  }

  release(e) {
    const from = this.from;
    this.drop();
    if (!from || Math.abs(e.clientX - from.x) < 5) return;
    const box = this.overlay.getBoundingClientRect();
    const t = this.a + Math.min(Math.max((e.clientX - box.left) / box.width, 0), 1) * (this.b - this.a);
    this.show(Math.min(from.t, t), Math.max(from.t, t));
  }

  drop() {
    this.from = null;
    this.brush.style.display = "none";
  }

  leave() {
    this.cursor.style.display = "none";
    this.readout.textContent = this.still;
  }

  key(e) {
    const width = this.b - this.a;
    const pan = by => {
      const a = Math.min(Math.max(this.a + by * width, 0), this.data.length - width);
      this.show(a, a + width);
    };
    const keys = {
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), "0": () => this.show(0, this.data.length),
      Escape: () => this.show(0, this.data.length), ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2),
    };
    if (!keys[e.key] || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    keys[e.key]();
  }

  hover(e) {
    const t = this.at(e);
    if (isNaN(t)) return this.leave();
    this.cursor.style.cssText = `display:block;left:${this.percent(t)}%`;
    this.readout.textContent = this.describe(t).join("  ·  ");
  }

  // describe says what there was at t.
  describe(t) {
    const d = this.data, near = (this.b - this.a) * 0.01, text = [clock(t, Math.max((this.b - this.a) / 1000, 0.001))];
    const inside = (spans, words) => { if (spans.some(s => s[0] <= t && t <= s[1])) text.push(words); };
    const level = this.level(t);
    if (level !== null) text.push("buffer " + milliseconds(level));
    let i = before(d.chunkT, t);
    if (i + 1 < d.chunkT.length && (i < 0 || d.chunkT[i + 1] - t < t - d.chunkT[i])) i++;
    if (i >= 0 && i < d.chunkT.length && Math.abs(d.chunkT[i] - t) <= near)
      text.push(`chunk at ${milliseconds(d.chunkPosition[i])} of its utterance` + (d.chunkLate[i] === null ? "" : ", " + (d.chunkLate[i] < 0 ? "early by " : "late by ") + milliseconds(Math.abs(d.chunkLate[i]))));
    inside(d.underruns, "underrun");
    inside(d.replica, "the replica speaks");
    inside(d.user, "the user speaks");
    inside(d.away, "no connection");
    for (const mark of d.marks) if (Math.abs(mark[0] - t) <= near) { text.push(mark[1]); break; }
    return text;
  }

  level(t) {
    const { levelT, levelS } = this.data, i = before(levelT, t);
    if (i < 0) return null;
    if (i + 1 >= levelT.length || levelT[i + 1] === levelT[i]) return levelS[i];
    return levelS[i] + (levelS[i + 1] - levelS[i]) * (t - levelT[i]) / (levelT[i + 1] - levelT[i]);
  }
}

for (const section of document.querySelectorAll(".session")) if (section.querySelector(".lanes")) new Timeline(section);
