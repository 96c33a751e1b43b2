// Says standard input, as it arrives, in a conversation of a gateway with several nodes, of which
// one is killed meanwhile: speaks_on.mjs CONVERSATION URL...
// Prints what it was told.
import { pathToFileURL } from "node:url";

const { Gateway } = await import(pathToFileURL(process.env.CLIENT));
const { WebSocket } = await import(pathToFileURL(process.env.WS));

const [id, ...urls] = process.argv.slice(2);
const stream = await new Gateway(urls, { WebSocket }).conversation(id).connect({ rate: 24000, after: 0 });
const ids = [];
stream.onevent = (e) => e.id && ids.push(e.id);
stream.start();
const marks = [];
let written = 0;
for await (const samples of process.stdin) {
  for (let at = 0; at < samples.length; at += 4800) {
    const piece = samples.subarray(at, at + 4800);
    await stream.write(piece);
    written += piece.length;
    if (written >= 86400 && marks.length === 0) marks.push(stream.mark("before the kill"));
  }
}
marks.push(stream.mark("end"));
const { receipt, takeovers = [] } = await stream.end();
const heard = (await Promise.all(marks)).filter((mark) => mark.heard).map((mark) => mark.name);
console.log(JSON.stringify({ ids, outcome: receipt.outcome, takeovers, heard }));
stream.close();
