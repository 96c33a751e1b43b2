// Serves the pages of this folder on 127.0.0.1, and what a command writes at
// /speech, as it writes it:
//
//   node examples/serve.mjs echocast encode --pace lead --conversation c123 speech.wav
//
// Each request starts the command, and ends it when the page stops reading.
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

const [command, ...args] = process.argv.slice(2);
if (!command) {
  console.error("serve: name a command, such as: echocast encode --pace lead --conversation c123 speech.wav");
  process.exit(2);
}
const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8" };

const server = createServer((request, response) => {
  const { host, origin } = request.headers;
  const here = `127.0.0.1:${server.address().port}`;
  if (host !== here || (origin && origin !== `http://${here}`)) return refuse(response, 403, "not for this site");
  const { pathname } = new URL(request.url, `http://${here}`); // which resolves ..
  if (pathname === "/speech" && request.method === "POST") return speak(response);
  if (request.method === "GET") return page(response, pathname.endsWith("/") ? pathname + "index.html" : pathname);
  refuse(response, 405, "not allowed");
});

function refuse(response, status, text) {
  response.writeHead(status, { "Content-Type": "text/plain" }).end(text);
}

async function page(response, path) {
  const type = types[extname(path)];
  if (!type || path.includes("%")) return refuse(response, 404, "not here");
  try {
    const body = await readFile(fileURLToPath(new URL("." + path, import.meta.url)));
    response.writeHead(200, { "Content-Type": type, "Cache-Control": "no-store" }).end(body);
  } catch {
    refuse(response, 404, "not here");
  }
}

function speak(response) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  child.on("error", error => refuse(response, 500, error.message));
  child.stdout.once("readable", () => response.headersSent || response.writeHead(200, { "Content-Type": "application/x-ndjson" }));
  child.stdout.pipe(response, { end: false });
  child.on("close", code => (code === 0 ? response.end() : response.destroy())); // if the command failed, the page gets an error
  response.on("close", () => child.kill());
}

server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/daily-js/`);
  console.log(`http://127.0.0.1:${server.address().port}/daily-react/`);
});
