// What happens in a room, on one clock: the page of the stand-in replica shows it, and
// so do pages of real conversations (examples/daily-react).

/** The words of an event that are a caption, or nothing. */
export function captionOf({ event_type, properties: p = {} }) {
  if (event_type === "conversation.utterance" && p.role !== "user" && p.speech) return p.speech.replace(/<[^>]*>/g, "");
}

const axis = 20;        // pixels
const left = 68;        // pixels of the names
const touching = 0.03;  // seconds between bars that are drawn as one

/**
 * Four lanes on a canvas: what was received, how much is held, what plays, and events.
 * The colors are the custom properties --blue, --amber, --green, --red, --soft, --line
 * and --well of the page.
 */
export class Lanes {
  names = ["received", "held", "playing", "events"];
  updates = [];

  /** clock() is the time in seconds; span is how many of them are shown. */
  constructor(canvas, clock, span = 20) { Object.assign(this, { canvas, clock, span }); }

  /**
   * Adds what happened at u.t: a chunk or a sound of u.seconds, an underrun that was so long
   * when it ended, an interrupt or another event.
   */
  add(u) {
    this.updates.push(u);
    while (this.updates[0].t < u.t - this.span - 5) this.updates.shift();
  }

  draw() {
    const box = this.canvas.getBoundingClientRect(), scale = devicePixelRatio || 1;
    const width = Math.round(box.width * scale), height = Math.round(box.height * scale);
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const g = this.g = this.canvas.getContext("2d"), style = getComputedStyle(this.canvas);
    this.color = name => style.getPropertyValue("--" + name);
    this.width = box.width;
    this.row = (box.height - axis) / this.names.length;
    this.end = this.clock();
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, box.width, box.height);
    g.font = "13px system-ui, sans-serif";
    g.textBaseline = "middle";
    this.drawGround(box.height);
    this.drawHeld(this.drawBars());
  }

  x(t) { return Math.max(left, left + (this.width - left) * (t - this.end + this.span) / this.span); }

  box(color, at, y, width, height) {
    this.g.fillStyle = this.color(color);
    this.g.beginPath();
    this.g.roundRect(at, y, width, height, 3);
    this.g.fill();
  }

  drawGround(height) {
    const g = this.g, { row, end, span } = this;
    this.names.forEach((name, i) => {
      this.box("well", left, row * i + 3, this.width - left, row - 6);
      g.fillStyle = this.color("soft"); g.textAlign = "left"; g.fillText(name, 0, row * i + row / 2);
    });
    for (let ago = 0; ago <= span; ago += 5) {
      const at = this.x(end - ago);
      g.textAlign = ago === span ? "left" : ago ? "center" : "right";
      g.fillStyle = this.color("soft"); g.fillText(ago ? `-${ago} s` : "now", at, height - axis / 2 + 2);
      g.fillStyle = this.color("line"); if (ago && ago < span) g.fillRect(at, 0, 1, height - axis);
    }
  }

  bar(lane, color, from, to, least = 2) {
    if (to < this.end - this.span) return;
    this.box(color, this.x(from), this.row * lane + 8, Math.max(this.x(to) - this.x(from), least), this.row - 16);
  }

  /** Draws all lanes but that of what is held, and returns that: times and seconds. */
  drawBars() {
    const open = {}; // the bar of a lane that the next piece may go on
    const piece = (lane, color, from, to) => {
      const last = open[lane];
      if (last && from - last.to < touching) { last.to = Math.max(last.to, to); return; }
      if (last) this.bar(lane, color, last.from, last.to);
      open[lane] = { color, from, to };
    };
    const level = [[this.end - this.span - 5, 0]];
    const hold = (t, change) => level.push([t, Math.max(0, level.at(-1)[1] + change)]);
    for (const u of this.updates) {
      switch (u.type) {
        case "chunk": piece(0, "blue", u.t, u.t + 0.02); hold(u.t, u.seconds); break;
        case "sound": piece(2, "green", u.t, u.t + u.seconds); hold(u.t, -u.seconds); break;
        case "underrun": this.bar(2, "red", u.t - u.seconds, u.t); break;
        case "interrupt": hold(u.t, -Infinity); // falls through
        default: this.bar(3, u.type === "interrupt" || u.type === "complaint" ? "red" : "soft", u.t, u.t, 3);
      }
    }
    for (const lane in open) this.bar(lane, open[lane].color, open[lane].from, open[lane].to);
    return level;
  }

  drawHeld(level) {
    const g = this.g, top = Math.max(2, ...level.map(([, held]) => held)), floor = 2 * this.row - 8;
    const y = held => floor - held / top * (this.row - 16);
    g.fillStyle = this.color("amber");
    g.beginPath();
    g.moveTo(left, floor);
    level.push([this.end, level.at(-1)[1]]);
    level.forEach(([t, held], i) => {
      if (i) g.lineTo(this.x(t), y(level[i - 1][1]));
      g.lineTo(this.x(t), y(held));
    });
    g.lineTo(this.width, floor);
    g.fill();
  }
}
