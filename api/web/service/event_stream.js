// Server-Sent Events over fetch: unlike EventSource it tells why it failed and when it goes on.

import { connection } from "./connection.js";
import { request } from "./http.js";

// the service writes something every 15 s; a connection silent for longer than this is a dead one
const SILENCE_MS = 40_000;

/** Calls `on({id, event, data})` for each event until the stream ends by itself; goes on after the
 * last one seen when the connection breaks. */
export async function followEvents(path, { on, signal }) {
  let lastId = "";
  for (;;) {
    try {
      await readOnce(path, lastId, signal, (event) => {
        lastId = event.id || lastId;
        on(event);
      });
      return;
    } catch (error) {
      if (signal.aborted || (error.name === "Problem" && !error.mayPass)) throw error;
      connection.reportLost();
      await connection.answered(signal);
    }
  }
}

async function readOnce(path, lastId, signal, on) {
  const silence = new AbortController();
  const heard = restartable(() => silence.abort(), SILENCE_MS);
  // the browser drops a stream only when its machine loses the network for good: do not wait for that
  const cut = () => silence.abort();
  addEventListener("offline", cut);
  try {
    const answer = await request(path, {
      headers: lastId ? { "Last-Event-ID": lastId } : {},
      signal: AbortSignal.any([signal, silence.signal]),
    });
    await read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), heard, on);
  } finally {
    heard.stop();
    removeEventListener("offline", cut);
  }
}

async function read(reader, heard, on) {
  let left = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard.restart();
    const blocks = (left + value).split(/\r?\n\r?\n/);
    left = blocks.pop();
    for (const block of blocks) {
      const event = parsed(block);
      if (event) on(event);
    }
  }
}

function parsed(block) {
  const event = { id: "", event: "message", data: "" };
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
    if (field === "data") event.data += event.data ? `\n${value}` : value;
    else if (field in event) event[field] = value;
  }
  return event.data ? { ...event, data: JSON.parse(event.data) } : null;
}

function restartable(act, after) {
  let timer = setTimeout(act, after);
  return {
    stop: () => clearTimeout(timer),
    restart() {
      clearTimeout(timer);
      timer = setTimeout(act, after);
    },
  };
}
