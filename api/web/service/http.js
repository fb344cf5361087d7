// Every request of the page but uploads: answers as JSON, errors as Problem.

import { access } from "./access.js";
import { connection } from "./connection.js";
import { problemOf, unreachable } from "./problem.js";

/** The answer of the service; Problem for an error status or no answer. */
export function request(path, options = {}) {
  return access.with(() => requestOnce(path, options));
}

async function requestOnce(path, { method = "GET", body, headers = {}, signal }) {
  const sent = { ...access.headers(), ...headers };
  const answer = await reached(path, {
    method,
    signal,
    headers: body === undefined ? sent : { "Content-Type": "application/json", ...sent },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw problemOf(answer.status, await text(answer));
  return answer;
}

/** The JSON of an answer; null for an empty one. */
export async function json(path, options) {
  const found = await text(await request(path, options));
  return found ? JSON.parse(found) : null;
}

/** The same, waiting out a lost connection; for what is safe to ask twice. */
export async function jsonWhenReached(path, options = {}) {
  for (;;) {
    try {
      return await json(path, options);
    } catch (problem) {
      if (problem.name !== "Problem" || problem.status !== 0) throw problem;
      await connection.answered(options.signal);
    }
  }
}

async function reached(path, options) {
  try {
    const answer = await fetch(path, options);
    connection.reportAnswer();
    return answer;
  } catch (error) {
    if (options.signal?.aborted) throw error;
    connection.reportLost();
    throw unreachable();
  }
}

async function text(answer) {
  try {
    return await answer.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    connection.reportLost();
    throw unreachable();
  }
}
