// What went wrong, in the service's own words (RFC 9457), or in ours when it could not be reached.

export class Problem extends Error {
  constructor({ title, detail, status = 0, errors = [] }) {
    super(detail || title);
    Object.assign(this, { name: "Problem", title, detail, status, errors });
  }

  /** Nothing answered, or something on the way did: it may go better in a moment. */
  get mayPass() {
    return this.status === 0 || this.status === 429 || this.status >= 502;
  }
}

export const unreachable = () =>
  new Problem({
    title: "The service does not answer",
    detail: "The connection was lost, or the service is not running. Nothing on this page is lost.",
  });

/** The problem that a body of an answer tells; `text` may be anything. */
export function problemOf(status, text) {
  try {
    const body = JSON.parse(text);
    if (body && typeof body.title === "string") return new Problem({ ...body, status });
  } catch {
    // no JSON: something in front of the service spoke
  }
  return new Problem({ title: `The service answered ${status}`, detail: "", status });
}
