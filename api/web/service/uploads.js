// Sends the files of one record with XMLHttpRequest, the only way to hear how much has been sent.

import { access } from "./access.js";
import { connection } from "./connection.js";
import { problemOf, unreachable } from "./problem.js";

/** The stored record and whether it was there before. `on(fraction)` hears of the sending; `fields` say
 * what the files do not: sampling_rate_hz, units, leads, patient_id. */
export async function upload(files, { on, signal, key, fields = {} }) {
  const { status, found } = await sendForm("v1/records", { files, fields, key, on, signal });
  return { record: found, known: status === 200 };
}

/** Files and fields as one form; {status, found} of the answer, Problem for an error. */
export function sendForm(path, form) {
  return access.with(() => sendOnce(path, form));
}

function sendOnce(path, { files, fields, key, on, signal }) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const file of files) form.append("file", file, file.name);
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", path);
    sending.setRequestHeader("Idempotency-Key", key);
    for (const [name, value] of Object.entries(access.headers())) sending.setRequestHeader(name, value);
    sending.upload.onprogress = (event) => event.total && on(event.loaded / event.total);
    sending.onload = () => {
      connection.reportAnswer();
      const { status, responseText } = sending;
      if (status >= 200 && status < 300) resolve({ status, found: JSON.parse(responseText) });
      else reject(problemOf(status, responseText));
    };
    sending.onerror = () => {
      connection.reportLost();
      reject(unreachable());
    };
    sending.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => sending.abort());
    sending.send(form);
  });
}
