/** Converts samples from -1 to 1, as in an AudioWorklet, to 16 bits, little-endian. */
export function pcm16(samples: Float32Array): Uint8Array {
  const out = new DataView(new ArrayBuffer(2 * samples.length));
  for (let i = 0; i < samples.length; i++) {
    const value = Math.round((samples[i] || 0) * 32768); // NaN is silence
    out.setInt16(2 * i, Math.max(-32768, Math.min(32767, value)), true);
  }
  return new Uint8Array(out.buffer);
}
