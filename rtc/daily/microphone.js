// The microphone that echocast speaks into: it plays what comes, 128 samples at
// a time, and silence when there is nothing.
//
//   in   {pcm: Int16Array, utterance, last}, {hush: true}
//   out  {taken: samples, utterance, last} when a piece is played or dropped
registerProcessor("microphone", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.pieces = [];
    this.at = 0; // in the first piece
    this.port.onmessage = ({ data }) => {
      if (!data.hush) return void this.pieces.push(data);
      for (const piece of this.pieces.splice(0)) this.port.postMessage({ taken: piece.pcm.length });
      this.at = 0;
    };
  }

  process(_, [[out]]) {
    for (let i = 0; i < out.length && this.pieces.length;) {
      const { pcm, utterance, last } = this.pieces[0];
      for (; i < out.length && this.at < pcm.length; i++, this.at++) out[i] = pcm[this.at] / 32768;
      if (this.at < pcm.length) break;
      this.port.postMessage({ taken: pcm.length, utterance, last });
      this.pieces.shift();
      this.at = 0;
    }
    return true;
  }
});
